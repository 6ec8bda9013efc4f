package catalog

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"busbar/ocpi"
)

// maxID is the longest id in bytes. The specification says 36 characters
// (2.2.1 mod_locations, CiString(36)); peers send longer ones.
const maxID = 255

// ReadPath fills Module, Owner, ID, EVSE and Connector of a push from the
// escaped path behind the module:
// /{country_code}/{party_id}/{id}[/{evse}[/{connector}]] (2.2.1 mod_locations,
// Receiver Interface; mod_tariffs). Segments are unescaped one by one, since
// ids may hold slashes. The refusal is 2001 and names the segment.
func ReadPath(m ocpi.ModuleID, escaped string) (Write, *ocpi.Error) {
	names := [...]string{"country_code", "party_id", "location id", "EVSE uid", "connector id"}
	most := len(names)
	switch m {
	case ocpi.ModuleLocations:
	case ocpi.ModuleTariffs:
		names[2], most = "tariff id", 3
	default:
		return Write{}, notKept(m)
	}
	segments := strings.Split(strings.TrimPrefix(escaped, "/"), "/")
	if n := len(segments); n > 3 && segments[n-1] == "" { // real peers add a slash
		segments = segments[:n-1]
	}
	if len(segments) > most {
		return Write{}, ocpi.Errorf(ocpi.InvalidParameters,
			"the URL has %d segments behind %s: at most %s", len(segments), m, strings.Join(names[:most], "/"))
	}
	var ids [len(names)]string
	for i := range max(len(segments), 3) {
		if i >= len(segments) {
			return Write{}, ocpi.Errorf(ocpi.InvalidParameters, "the URL has no %s: it must be %s", names[i], strings.Join(names[:3], "/"))
		}
		id, err := readSegment(names[i], segments[i])
		if err != nil {
			return Write{}, err
		}
		ids[i] = id
	}
	owner, err := ocpi.ParsePartyKey(ids[0], ids[1])
	if err != nil {
		return Write{}, ocpi.Errorf(ocpi.InvalidParameters, "the URL's %v", err)
	}
	return Write{Module: m, Owner: owner, ID: ids[2], EVSE: ids[3], Connector: ids[4]}, nil
}

func readSegment(name, escaped string) (string, *ocpi.Error) {
	id, err := url.PathUnescape(escaped)
	switch {
	case err != nil:
		return "", ocpi.Errorf(ocpi.InvalidParameters, "the URL's %s has a broken percent escape", name)
	case id == "":
		return "", ocpi.Errorf(ocpi.InvalidParameters, "the URL's %s is empty", name)
	}
	if refusal := checkID(name, id); refusal != nil {
		return "", refusal
	}
	return id, nil
}

// checkID refuses what the record cannot hold.
func checkID(name, id string) *ocpi.Error {
	switch {
	case len(id) > maxID:
		return ocpi.Errorf(ocpi.InvalidParameters, "the URL's %s has %d bytes: at most %d", name, len(id), maxID)
	case !utf8.ValidString(id) || strings.IndexByte(id, 0) >= 0:
		return ocpi.Errorf(ocpi.InvalidParameters, "the URL's %s is not text: it must be UTF-8 without NUL", name)
	}
	return nil
}

func notKept(m ocpi.ModuleID) *ocpi.Error {
	return ocpi.Errorf(ocpi.InvalidParameters, "the hub keeps no objects of module %.64q, only locations and tariffs", string(m))
}

// foldID is how ids are compared: they are CiStrings (2.2.1 types).
func foldID(id string) string { return strings.ToLower(id) }
