package ocpi

import (
	"fmt"
	"strings"
	"time"
)

// FormatTime writes a DateTime as the hub emits it: RFC 3339 in UTC with Z and
// millisecond fractions (2.2.1 types, DateTime).
func FormatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// ParseTime reads a DateTime: UTC, with Z or without any zone, fractions
// allowed. Offsets are not valid in OCPI (2.2.1 types, DateTime).
func ParseTime(s string) (time.Time, error) {
	// Parse is laxer than RFC 3339: it takes one digit for the hour, and a comma
	// before the fraction.
	exact := len(s) >= len("2006-01-02T15:04:05") && s[13] == ':' && !strings.Contains(s, ",")
	for _, layout := range [...]string{"2006-01-02T15:04:05Z", "2006-01-02T15:04:05"} {
		// Parse accepts a fraction after the seconds of either layout.
		if t, err := time.Parse(layout, s); err == nil && exact {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q: must be a UTC date and time like 2026-01-31T12:00:00Z, without an offset", clip(s))
}
