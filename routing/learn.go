package routing

import (
	"context"
	"strings"
	"time"

	"busbar/ocpi"
)

// Learn takes the lessons of a request that was carried out with success; answer
// is the receiver's envelope. It is called for every routed message, so what is
// known already costs little (M4).
func (x *Index) Learn(req *ocpi.Request, answer []byte) {
	if req.IsAuthorize() {
		if uid := authorizedUID(req.Path); knowsToken(answer, uid) {
			x.learn(LessonToken, Pair{Owner: req.To.Party}, uid, tokenTypeOf(req.Query))
		}
		return
	}
	if req.Interface != ocpi.Receiver {
		return
	}
	push := req.Method == "PUT" || req.Method == "PATCH"
	switch {
	case req.Module == ocpi.ModuleLocations && push:
		x.learnOwner(LessonLocation, req, "")
	case req.Module == ocpi.ModuleTariffs && push:
		x.learnOwner(LessonTariff, req, "")
	case req.Module == ocpi.ModuleTokens && push:
		x.learnOwner(LessonToken, req, tokenTypeOf(req.Query))
	case req.Module == ocpi.ModuleSessions && push:
		x.learnSession(req)
	case req.Module == ocpi.ModuleCDRs && req.Method == "POST":
		x.learnIssuer(req)
	case req.Module == ocpi.ModuleCommands && req.Method == "POST":
		x.learnReservation(req, answer)
	case req.Module == ocpi.ModuleChargingProfiles && req.Method == "PUT" && isAccepted(answer):
		// The result does not come through a callback.
		if id := unescaped(segment(req.Path, 0)); id != "" {
			x.learnProfile(req.From.Party, req.To.Party, id)
		}
	}
}

// Unlearn takes that the receiver of an authorisation does not know the token
// (2004): it was not the issuer, or is no more, and must not make a token that
// moved to another eMSP ambiguous.
func (x *Index) Unlearn(req *ocpi.Request, status ocpi.StatusCode) {
	if status != ocpi.UnknownToken || !req.IsAuthorize() {
		return
	}
	key, ok := lessonKey(LessonToken, authorizedUID(req.Path), tokenTypeOf(req.Query))
	pair := Pair{Owner: req.To.Party}
	if ok && x.drop(key, pair) {
		lesson := Lesson{Key: key, Kind: LessonToken, Pair: pair}
		x.backlog.drop(lesson)
		x.tell(LessonDropped, lesson)
	}
}

// learnOwner takes who has the object that the URL names.
func (x *Index) learnOwner(kind LessonKind, req *ocpi.Request, more string) {
	if owner, id, ok := ownedObject(req.Path); ok {
		x.learn(kind, Pair{Owner: owner}, id, more)
	}
}

// learnSession takes whom a session was sent to and, once per session, whose
// token it was.
func (x *Index) learnSession(req *ocpi.Request) {
	owner, id, ok := ownedObject(req.Path)
	if ok && x.learn(LessonSession, Pair{Owner: owner, With: req.To.Party}, id, "") {
		x.learnIssuer(req)
	}
}

// learnIssuer takes that the receiver issued the driver's token: it did not
// object. What a CPO says of somebody else's token, towards an SCSP for one, is
// not taken.
func (x *Index) learnIssuer(req *ocpi.Request) {
	token := cdrTokenOf(req.Body)
	if token.issuer.IsZero() || token.issuer == req.To.Party {
		x.learn(LessonToken, Pair{Owner: req.To.Party}, token.uid, token.tokenType)
	}
}

func (x *Index) learnReservation(req *ocpi.Request, answer []byte) {
	if commandOf(req) == "RESERVE_NOW" && isAccepted(answer) {
		if id := textMember(req.Body, "reservation_id"); id != "" {
			x.learn(LessonReservation, Pair{Owner: req.To.Party}, req.From.Party.String(), id)
		}
	}
}

// learnProfile takes who set the charging profile of a CPO's session.
func (x *Index) learnProfile(setter, cpo ocpi.PartyKey, sessionID string) {
	x.learn(LessonProfile, Pair{Owner: setter}, cpo.String(), sessionID)
}

// isAcceptedResult tells that a ChargingProfileResult is ACCEPTED (2.2.1
// mod_charging_profiles). It is a request without an envelope (A3); some peers
// put one around it.
func isAcceptedResult(body []byte) bool {
	return textMember(body, "result") == "ACCEPTED" || isAccepted(body)
}

// isAccepted tells that a CommandResponse or ChargingProfileResponse is ACCEPTED
// (2.2.1 mod_commands, mod_charging_profiles).
func isAccepted(answer []byte) bool {
	return textMember(member(answer, "data"), "result") == "ACCEPTED"
}

// knowsToken tells an AuthorizationInfo of somebody who knows the token: it holds
// the Token itself (2.2.1 mod_tokens, AuthorizationInfo). Where peers leave that
// out, ALLOWED says enough; a refusal alone does not.
func knowsToken(answer []byte, uid string) bool {
	info := member(answer, "data")
	return textMember(info, "allowed") == "ALLOWED" || uid != "" && strings.EqualFold(textMember(member(info, "token"), "uid"), uid)
}

// learn takes one lesson; it tells whether that was new, or due for refreshing.
func (x *Index) learn(kind LessonKind, pair Pair, first, second string) bool {
	key, ok := lessonKey(kind, first, second)
	if !ok {
		return false
	}
	// Of profiles the latest counts, so even the same one again is a lesson.
	alone := kind == LessonProfile
	if !alone && x.memory.isFresh(key, pair, time.Now().Add(lifetime(kind))) {
		return false
	}
	x.take(kind, key, pair, alone)
	return true
}

// take keeps a lesson; alone, it replaces the others of its key.
func (x *Index) take(kind LessonKind, key LessonKey, pair Pair, alone bool) {
	now := time.Now()
	lesson := Lesson{Key: key, Kind: kind, Pair: pair, ExpiresAt: now.Add(lifetime(kind)).UTC().Truncate(time.Second)}
	if x.memory.put(&lesson, alone, now) {
		x.backlog.add(lesson, alone)
		x.tell(changeOf(alone), lesson)
	}
}

// correct takes who issued a token of which somebody else was known, and wrongly:
// it moved, or a Session or CDR said so that its eMSP did not look at.
func (x *Index) correct(req *ocpi.Request, issuer ocpi.PartyKey) {
	if key, ok := lessonKey(LessonToken, authorizedUID(req.Path), tokenTypeOf(req.Query)); ok {
		x.take(LessonToken, key, Pair{Owner: issuer}, true)
	}
}

const (
	// fetchTimeout bounds how long a request waits for the record.
	fetchTimeout = 500 * time.Millisecond
	// fetchAgain is how long memory answers for a key before the record is asked
	// whether another replica has learned more: by itself, while it hears the news
	// of others, of which one may be cut off, and while it should hear them and
	// does not.
	fetchAgain        = 10 * time.Minute
	fetchAgainHearing = time.Minute
	fetchAgainDeaf    = time.Second
)

// Fetch brings what the record knows of the request's keys into memory: another
// replica may have learned it, or this one before it was started. It tells
// whether it found any. req.From must be known.
func (x *Index) Fetch(ctx context.Context, req *ocpi.Request) bool {
	if x.cfg.Store == nil {
		return false
	}
	key, refusal := readKey(req, req.From.Party)
	if refusal != nil {
		return false
	}
	now := time.Now()
	began := x.heard.times()
	since := now.Add(-x.trusted(began))
	if key.replaced {
		since = now
	}
	keys := make([]LessonKey, 0, len(key.lessons))
	for _, k := range key.lessons {
		if !x.memory.askedSince(k, since) && !x.asked.recently(k, x.memory.knows(k), now) {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return false
	}
	bounded, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	question := x.questions.begin()
	defer x.questions.end(question)
	lessons, err := x.cfg.Store.Lessons(bounded, keys, now)
	if err != nil {
		if ctx.Err() == nil && x.asked.failed(now) {
			x.cfg.Logger.Warn("read what open routing learned", "error", err)
		}
		return false
	}
	x.questions.answered(question, lessons, func(left []Lesson) { x.fill(keys, left, began, now) })
	return len(lessons) > 0 || x.isTold() // then less may be known than before
}

// fill takes what the record said. began is what had been heard when it was asked:
// what was missed since may be missing in it.
func (x *Index) fill(keys []LessonKey, lessons []Lesson, began hearing, now time.Time) {
	asked := now
	if x.heard.times() != began {
		asked = time.Unix(0, 0)
	}
	var keep func(LessonKey, Pair) bool
	if x.cfg.News != nil && !began.now() {
		keep = x.backlog.waits // beyond that, what memory has may be outdated
	}
	for _, key := range keys {
		var found []Lesson
		for _, l := range lessons {
			if l.Key == key {
				found = append(found, l)
			}
		}
		x.asked.note(key, now)
		var mine func(Pair) bool
		if keep != nil {
			mine = func(p Pair) bool { return keep(key, p) }
		}
		x.memory.fill(key, found, len(found) > 0 && found[0].Kind == LessonProfile, mine, now, asked)
	}
}
