package rediscache

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"busbar/catalog"
	"busbar/ocpi"
	"busbar/parties"
	"busbar/routing"
	"busbar/storage/seal"
)

// The fields of an entry: either a header and the body, or both sealed. The
// script that appends adds one of the other two.
const (
	headerField = "h"
	bodyField   = "b"
	sealedField = "s"
	lateField   = "late"  // the highest number that was appended before it
	againField  = "again" // it was appended before, and may have been sent
)

// broadcastEntry is the purpose of what is sealed for the log; its owner is the
// partition.
const broadcastEntry = "broadcast-entry"

// header is a broadcast without its body, as JSON.
type header struct {
	Object        text               `json:"object"`
	Owner         ocpi.PartyKey      `json:"owner"`
	From          ocpi.PartyKey      `json:"from"`
	Platform      parties.PlatformID `json:"platform,omitempty"`
	Accepted      int64              `json:"accepted"` // microseconds since 1970
	CorrelationID text               `json:"correlation_id"`
	Method        text               `json:"method,omitempty"`
	Version       ocpi.Version       `json:"version,omitempty"`
	Module        ocpi.ModuleID      `json:"module"`
	Path          text               `json:"path"`
	Query         text               `json:"query,omitempty"`
	Revision      int64              `json:"revision,omitempty"`
	Parcel        int64              `json:"parcel,omitempty"`
	Present       bool               `json:"present,omitempty"`
	// A previous binary neither writes nor reads these.
	Overtaken bool `json:"overtaken,omitempty"`
	Repeated  bool `json:"repeated,omitempty"`
}

// text is a sender's bytes, which need not be UTF-8 as JSON must.
type text string

func (t text) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return json.Marshal(string(t))
	}
	return json.Marshal([][]byte{[]byte(t)})
}

func (t *text) UnmarshalJSON(encoded []byte) error {
	if encoded[0] == '"' {
		return json.Unmarshal(encoded, (*string)(t))
	}
	var raw [][]byte
	if err := json.Unmarshal(encoded, &raw); err != nil || len(raw) != 1 {
		return errors.New("neither a string nor bytes")
	}
	*t = text(raw[0])
	return nil
}

// encodeEntry writes the first field of an entry and the body. Nothing of what
// the catalog does not keep stands there in clear: a Token is about a person.
func encodeEntry(b *routing.Broadcast, partition int, sealer *seal.Sealer) (field, value, body string, err error) {
	// A version that is unknown here is passed on as it is.
	encoded, err := json.Marshal(header{
		Object: text(b.Object), Owner: b.Owner, From: b.From, Platform: b.Platform, Accepted: b.Accepted.UnixMicro(),
		CorrelationID: text(b.CorrelationID), Method: text(b.Method), Version: b.Version, Module: b.Module,
		Path: text(b.Path), Query: text(b.Query), Revision: b.Revision, Parcel: b.Parcel, Present: b.Present,
		Overtaken: b.Overtaken, Repeated: b.Repeated,
	})
	if err != nil {
		return "", "", "", fmt.Errorf("encode a broadcast: %w", err)
	}
	if catalog.Keeps(b.Module) {
		return headerField, string(encoded), string(b.Body), nil
	}
	plain := strconv.Itoa(len(encoded)) + " " + string(encoded) + string(b.Body)
	sealed, err := sealer.Seal(plain, broadcastEntry, strconv.Itoa(partition))
	return sealedField, sealed, "", err
}

// entry is what a stream holds.
type entry struct {
	id     streamID
	fields map[string]string
}

// decode reads the broadcast of an entry.
func (e *entry) decode(partition int, sealer *seal.Sealer) (*routing.Broadcast, error) {
	encoded, body := e.fields[headerField], e.fields[bodyField]
	if sealed, ok := e.fields[sealedField]; ok {
		plain, err := sealer.Open(sealed, broadcastEntry, strconv.Itoa(partition))
		if err != nil {
			return nil, err
		}
		length, rest, _ := strings.Cut(plain, " ")
		n, err := strconv.Atoi(length)
		if err != nil || n < 0 || n > len(rest) {
			return nil, errors.New("a sealed entry of an unknown form")
		}
		encoded, body = rest[:n], rest[n:]
	}
	if encoded == "" {
		return nil, errors.New("an entry of an unknown form")
	}
	var h header
	if err := json.Unmarshal([]byte(encoded), &h); err != nil {
		return nil, fmt.Errorf("the header of an entry: %w", err)
	}
	b := &routing.Broadcast{
		Object: string(h.Object), Owner: h.Owner, From: h.From, Platform: h.Platform,
		Accepted: time.UnixMicro(h.Accepted).UTC(), CorrelationID: string(h.CorrelationID), Method: string(h.Method),
		Version: h.Version, Module: h.Module, Path: string(h.Path), Query: string(h.Query),
		Revision: h.Revision, Parcel: h.Parcel, Present: h.Present, Overtaken: h.Overtaken,
		Repeated: h.Repeated,
	}
	if body != "" {
		b.Body = []byte(body)
	}
	return b, nil
}

// streamID is the id of an entry; they rise within a stream.
type streamID struct{ time, seq uint64 }

func parseID(s string) (id streamID, err error) {
	first, second, _ := strings.Cut(s, "-")
	if id.time, err = strconv.ParseUint(first, 10, 64); err == nil {
		id.seq, err = strconv.ParseUint(second, 10, 64)
	}
	if err != nil {
		return streamID{}, fmt.Errorf("an entry's id is %.50q", s)
	}
	return id, nil
}

func (id streamID) String() string {
	return strconv.FormatUint(id.time, 10) + "-" + strconv.FormatUint(id.seq, 10)
}

func (id streamID) before(other streamID) bool {
	return id.time < other.time || id.time == other.time && id.seq < other.seq
}

// readEntries reads what a script returned of a stream.
func readEntries(reply any) ([]entry, error) {
	rows, ok := reply.([]any)
	if !ok {
		return nil, errUnexpected
	}
	entries := make([]entry, 0, len(rows))
	for _, row := range rows {
		pair, ok := row.([]any)
		if !ok || len(pair) != 2 {
			return nil, errUnexpected
		}
		name, _ := pair[0].(string)
		id, err := parseID(name)
		if err != nil {
			return nil, err
		}
		fields, err := readPairs(pair[1])
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry{id, fields})
	}
	return entries, nil
}

// errUnexpected says that a script returned something of another shape.
var errUnexpected = errors.New("redis answers something unexpected")

// readPairs reads names and values in turn, as Lua returns a hash.
func readPairs(reply any) (map[string]string, error) {
	list, ok := reply.([]any)
	if !ok || len(list)%2 != 0 {
		return nil, errUnexpected
	}
	pairs := make(map[string]string, len(list)/2)
	for i := 0; i < len(list); i += 2 {
		name, _ := list[i].(string)
		pairs[name], _ = list[i+1].(string)
	}
	return pairs, nil
}
