package routing

import (
	"strings"

	"busbar/ocpi"
)

// openKey is what a request without a receiver holds that leads to one
// (protocol.md 3, open-route keys).
type openKey struct {
	// what is the key as the requester reads it: `location "LOC1"`.
	what string
	// named is the receiver, when the message itself says it.
	named ocpi.PartyKey
	// holders asks for the parties that the key leads to.
	holders func(Known) []ocpi.PartyKey
	// lessons are what holders asks for, as they stand in the record.
	lessons []LessonKey
	// replaced tells lessons that another replica may have replaced.
	replaced bool
	// justMade tells what comes to be by another request, that its user may have
	// sent a moment ago: a session, a reservation, a charging profile.
	justMade bool
	// unknown is the answer when nobody is found.
	unknown *ocpi.Error
}

// readKey finds the key of a request. The refusal says what is missing in it, or
// that such a request must be addressed.
func readKey(req *ocpi.Request, from ocpi.PartyKey) (openKey, *ocpi.Error) {
	switch {
	case req.IsAuthorize():
		return keyOfAuthorize(req)
	case req.Module == ocpi.ModuleCommands && req.Interface == ocpi.Receiver && req.Method == "POST":
		return keyOfCommand(req, from)
	case req.Module == ocpi.ModuleCDRs && req.Interface == ocpi.Receiver && req.Method == "POST",
		req.Module == ocpi.ModuleSessions && req.Interface == ocpi.Receiver && req.Method == "PUT":
		return keyOfCharged(req)
	case req.Module == ocpi.ModuleSessions && req.Interface == ocpi.Receiver:
		if req.Method == "PATCH" || req.Method == "GET" {
			return keyOfOwnSession(req)
		}
	}
	if key, ok := keyInURL(req, from); ok {
		return key, nil
	}
	return openKey{}, mustAddress(req)
}

// keyInURL reads the keys that are the first segment of the path.
func keyInURL(req *ocpi.Request, from ocpi.PartyKey) (openKey, bool) {
	id := unescaped(segment(req.Path, 0))
	if id == "" {
		return openKey{}, false
	}
	read, put, remove := req.Method == "GET", req.Method == "PUT", req.Method == "DELETE"
	switch sender := req.Interface == ocpi.Sender; {
	case req.Module == ocpi.ModuleLocations && sender && read:
		return keyOfLocation(id, ocpi.HTTPErrorf(404, ocpi.UnknownLocation, "no location %.40q is known to this hub", id)), true
	case req.Module == ocpi.ModuleTariffs && sender && read:
		return keyOfTariff(id), true
	case req.Module == ocpi.ModuleSessions && sender && (read || put):
		// /{id}/charging_preferences; field-quirks: /{id}/preferences.
		return keyOfSession(id, from, false), true
	case req.Module == ocpi.ModuleChargingProfiles && !sender && (read || put || remove):
		return keyOfSession(id, from, true), true
	case req.Module == ocpi.ModuleChargingProfiles && sender && put:
		return keyOfProfile(id, from), true
	}
	return openKey{}, false
}

// mustAddress tells that nothing in such a request leads to a receiver.
func mustAddress(req *ocpi.Request) *ocpi.Error {
	if req.Module == ocpi.ModuleCDRs && req.Method == "GET" {
		// U4: it carries the eMSP.
		return ocpi.Errorf(ocpi.UnknownReceiver,
			"a CDR is read with the URL that this hub returned in the Location header of its POST, or with OCPI-to headers")
	}
	return ocpi.Errorf(ocpi.UnknownReceiver,
		"nothing in a %s on the %s interface of module %s leads to a receiver: headers OCPI-to-country-code and OCPI-to-party-id are needed",
		req.Method, req.Interface, req.Module)
}

func keyOfLocation(id string, unknown *ocpi.Error) openKey {
	return openKey{
		what:    quoted("location", id),
		holders: func(k Known) []ocpi.PartyKey { return k.Location(id) },
		lessons: lessonKeys(lessonKey(LessonLocation, id, "")),
		unknown: unknown,
	}
}

func keyOfTariff(id string) openKey {
	return openKey{
		what:    quoted("tariff", id),
		holders: func(k Known) []ocpi.PartyKey { return k.Tariff(id) },
		lessons: lessonKeys(lessonKey(LessonTariff, id, "")),
		unknown: ocpi.HTTPErrorf(404, ocpi.InvalidParameters, "no tariff %.40q is known to this hub", id),
	}
}

// theToken names a driver's token in an answer, which is logged: so without its
// uid.
const theToken = "the token"

func keyOfAuthorize(req *ocpi.Request) (openKey, *ocpi.Error) {
	uid := authorizedUID(req.Path)
	if uid == "" {
		return openKey{}, ocpi.Errorf(ocpi.InvalidParameters, "URL of an authorisation must be {token_uid}/authorize: the token_uid is missing")
	}
	tokenType := tokenTypeOf(req.Query)
	return openKey{
		what:    theToken,
		holders: func(k Known) []ocpi.PartyKey { return k.Token(uid, tokenType) },
		lessons: lessonKeys(lessonKey(LessonToken, uid, tokenType)),
		// A1: both, and no data.
		unknown: ocpi.HTTPErrorf(404, ocpi.UnknownToken, "no eMSP is known to have issued this token, and there is none to ask"),
	}, nil
}

// keyOfCharged is the driver's token in a Session or CDR: cdr_token names its
// eMSP (2.2.1 mod_cdrs, CdrToken). Field-quirks: some leave the party out.
func keyOfCharged(req *ocpi.Request) (openKey, *ocpi.Error) {
	token := cdrTokenOf(req.Body)
	key := openKey{what: "field cdr_token", named: token.issuer}
	switch {
	case !token.issuer.IsZero():
		return key, nil
	case token.uid == "":
		return openKey{}, ocpi.Errorf(ocpi.InvalidParameters,
			"field cdr_token must name the token's eMSP by country_code and party_id, or the token by uid, when there are no OCPI-to headers")
	}
	key.what = theToken
	key.unknown = ocpi.HTTPErrorf(404, ocpi.UnknownToken,
		"field cdr_token has no country_code and party_id, and this hub does not know who issued the token")
	key.holders = func(k Known) []ocpi.PartyKey {
		// Nobody can be asked, so the default type is worth a try.
		if issuers := k.Token(token.uid, token.tokenType); len(issuers) > 0 || token.tokenType == defaultTokenType {
			return issuers
		}
		return k.Token(token.uid, defaultTokenType)
	}
	key.lessons = lessonKeys(lessonKey(LessonToken, token.uid, token.tokenType))
	if token.tokenType != defaultTokenType {
		key.lessons = append(key.lessons, lessonKeys(lessonKey(LessonToken, token.uid, defaultTokenType))...)
	}
	return key, nil
}

// keyOfOwnSession is the session that a CPO pushes to: it goes where the session
// went before.
func keyOfOwnSession(req *ocpi.Request) (openKey, *ocpi.Error) {
	owner, id, ok := ownedObject(req.Path)
	if !ok {
		return openKey{}, ocpi.Errorf(ocpi.InvalidParameters, "URL of module sessions must be {country_code}/{party_id}/{session_id}")
	}
	return openKey{
		what: quoted("session", id),
		holders: func(k Known) []ocpi.PartyKey {
			return collect(k.Session(id), func(p Pair) (ocpi.PartyKey, bool) { return p.With, p.Owner == owner })
		},
		lessons: lessonKeys(lessonKey(LessonSession, id, "")), justMade: true,
		unknown: unknownSession(id),
	}, nil
}

// keyOfSession is a session of the requester, an eMSP; with anyones, of somebody
// if the requester has none: an SCSP steers sessions that it was not sent (U3).
func keyOfSession(id string, from ocpi.PartyKey, anyones bool) openKey {
	return openKey{
		what: quoted("session", id),
		holders: func(k Known) []ocpi.PartyKey {
			pairs := k.Session(id)
			own := collect(pairs, func(p Pair) (ocpi.PartyKey, bool) { return p.Owner, p.With == from })
			if len(own) > 0 || !anyones {
				return own
			}
			return collect(pairs, func(p Pair) (ocpi.PartyKey, bool) { return p.Owner, true })
		},
		lessons: lessonKeys(lessonKey(LessonSession, id, "")), justMade: true,
		unknown: unknownSession(id),
	}
}

func unknownSession(id string) *ocpi.Error {
	return ocpi.Errorf(ocpi.UnknownReceiver,
		"this hub has not carried session %.40q between the requester and anybody: address its other party with OCPI-to headers", id)
}

func keyOfProfile(id string, from ocpi.PartyKey) openKey {
	return openKey{
		what:    quoted("charging profile of session", id),
		holders: func(k Known) []ocpi.PartyKey { return k.Profile(from, id) },
		lessons: lessonKeys(lessonKey(LessonProfile, from.String(), id)), replaced: true, justMade: true,
		unknown: ocpi.Errorf(ocpi.UnknownReceiver,
			"this hub has carried no charging profile for session %.40q of %s: address its Sender with OCPI-to headers", id, from),
	}
}

// keyOfCommand reads the key of a command (2.2.1 mod_commands, Receiver
// Interface). Its token is no key: that is the sender's own.
func keyOfCommand(req *ocpi.Request, from ocpi.PartyKey) (openKey, *ocpi.Error) {
	command := commandOf(req)
	field := map[string]string{
		"START_SESSION": "location_id", "RESERVE_NOW": "location_id", "UNLOCK_CONNECTOR": "location_id",
		"STOP_SESSION": "session_id", "CANCEL_RESERVATION": "reservation_id",
	}[command]
	if field == "" {
		return openKey{}, mustAddress(req)
	}
	id := textMember(req.Body, field)
	if id == "" {
		return openKey{}, ocpi.Errorf(ocpi.InvalidParameters,
			"field %s of %s must stand once: it leads the command to its receiver when there are no OCPI-to headers", field, command)
	}
	switch field {
	case "location_id":
		return keyOfLocation(id, ocpi.Errorf(ocpi.UnknownLocation, "no location %.40q is known to this hub", id)), nil
	case "session_id":
		return keyOfSession(id, from, false), nil
	}
	return openKey{
		what:    quoted("reservation", id),
		holders: func(k Known) []ocpi.PartyKey { return k.Reservation(from, id) },
		lessons: lessonKeys(lessonKey(LessonReservation, from.String(), id)), justMade: true,
		unknown: ocpi.Errorf(ocpi.UnknownReceiver,
			"this hub has carried no RESERVE_NOW of %s with reservation %.40q: address its CPO with OCPI-to headers", from, id),
	}, nil
}

// commandOf is the command in the URL of the commands Receiver interface.
func commandOf(req *ocpi.Request) string { return strings.ToUpper(unescaped(segment(req.Path, 0))) }
