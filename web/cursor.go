package web

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"busbar/access"
)

// place is one in a list that is in the order of creation, then of ids. The zero
// value is before all.
type place struct {
	created time.Time
	id      string
}

// after tells whether the place comes later.
func (p place) after(o place) bool {
	if c := p.created.Compare(o.created); c != 0 {
		return c > 0
	}
	return p.id > o.id
}

// cursor is the place as it stands in next, and comes back as cursor.
func (p place) cursor() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(p.created.UnixMicro(), 10) + " " + p.id))
}

// place reads a cursor.
func (p parameters) place(name string) place {
	s := p.c.Query(name)
	if s == "" {
		return place{}
	}
	raw, err := base64.RawURLEncoding.DecodeString(s)
	created, id, ok := strings.Cut(string(raw), " ")
	at, notNumber := strconv.ParseInt(created, 10, 64)
	if err != nil || !ok || notNumber != nil || strings.Trim(id, "abcdefghijklmnopqrstuvwxyz234567") != "" {
		p.faults[name] = access.ErrCursor.Error()
	}
	return place{time.UnixMicro(at), id}
}
