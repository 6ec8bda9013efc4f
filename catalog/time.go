package catalog

import (
	"bytes"
	"math"
	"strconv"
	"time"

	"busbar/ocpi"
)

// instant is a last_updated for comparison, in microseconds since 1970: what
// every database keeps. The document has the sender's own form.
type instant int64

func instantOf(t time.Time) instant { return instant(t.UnixMicro()) }

func (i instant) time() time.Time { return time.UnixMicro(int64(i)).UTC() }

// The bounds of what a database holds: the years 1 to 9999.
var (
	firstInstant = instantOf(time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC))
	lastInstant  = instantOf(time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC))
)

// readInstant reads a DateTime from its JSON, as real peers write it: with a
// space, microseconds or an offset, or as a number of seconds or milliseconds.
func readInstant(value []byte) (instant, bool) {
	text := value
	if len(value) > 0 && value[0] == '"' {
		text = bytes.TrimSpace(ocpi.Unquote(value))
	}
	if len(text) == 0 || len(text) > 64 {
		return 0, false
	}
	at, ok := readDate(text)
	if !ok {
		at, ok = readUnix(text)
	}
	return at, ok && firstInstant <= at && at <= lastInstant
}

// layouts are tried in turn; Parse takes a fraction after the seconds of each.
var layouts = [...]string{
	time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02",
}

func readDate(text []byte) (instant, bool) {
	if len(text) < len("2006-01-02") || text[4] != '-' {
		return 0, false
	}
	var room [64]byte
	date := append(room[:0], text...)
	if len(date) > 10 && (date[10] == ' ' || date[10] == 't') {
		date[10] = 'T'
	}
	if len(date) > 16 { // "… 12:00:00 +02:00", "… 12:00:00z"
		date = bytes.ReplaceAll(bytes.ToUpper(date), []byte{' '}, nil)
		date = bytes.TrimSuffix(date, []byte("UTC"))
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, string(date)); err == nil {
			return instantOf(t), true
		}
	}
	return 0, false
}

func readUnix(text []byte) (instant, bool) {
	if len(bytes.Trim(text, "0123456789.-+eE")) > 0 { // ParseFloat knows more forms
		return 0, false
	}
	seconds, err := strconv.ParseFloat(string(text), 64)
	if err != nil || math.IsNaN(seconds) {
		return 0, false
	}
	if math.Abs(seconds) >= 1e11 { // milliseconds: as seconds it would be the year 5138
		seconds /= 1000
	}
	if math.Abs(seconds) > 1e12 {
		return 0, false
	}
	return instant(math.Round(seconds * 1e6)), true
}
