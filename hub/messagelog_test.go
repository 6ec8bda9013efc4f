package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"busbar/ocpi"
	"busbar/routing"
)

// slogged is the record as slog's own handler writes it: what is written by
// hand must read the same.
func slogged(m *routing.Message, asJSON bool) string {
	var out bytes.Buffer
	var handler slog.Handler = slog.NewTextHandler(&out, nil)
	if asJSON {
		handler = slog.NewJSONHandler(&out, nil)
	}
	var attrs []slog.Attr
	each(m, func(name, value string) {
		attrs = append(attrs, slog.String(name, value))
	}, func(name string, value int64) {
		if name == durationName || name == peerName {
			attrs = append(attrs, slog.Duration(name, time.Duration(value)))
			return
		}
		attrs = append(attrs, slog.Int64(name, value))
	})
	slog.New(handler).LogAttrs(context.Background(), slog.LevelInfo, "message", attrs...)
	return out.String()
}

func TestMessageLog_ReadsLikeSlog(t *testing.T) {
	t.Parallel()
	from, err := ocpi.ParseParty("NLCPA")
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range map[string]routing.Message{
		"plain": {
			CorrelationID: "c-1", RequestID: "r-1", From: from, Method: "PUT", Module: "sessions", Interface: ocpi.Receiver,
			Path: "/NL/CPA/S1", Plan: routing.PlanDirect, Outcome: routing.OutcomeOK, HTTPStatus: 200, OCPIStatus: 1000,
			Duration: 1234567, Peer: 999,
		},
		"empty": {},
		"hostile": {
			CorrelationID: "a b=\"c\"\n\t\x00\x7f\\", RequestID: "é\u2028漢", Path: "/x=y", Detail: "two\r\nlines",
		},
	} {
		for _, asJSON := range []bool{false, true} {
			var out bytes.Buffer
			w := newLogWriter(&out)
			newMessageLog(Config{LogJSON: asJSON}, w).Record(&m)
			w.Flush()
			got, want := withoutTime(t, out.String(), asJSON), withoutTime(t, slogged(&m, asJSON), asJSON)
			if got != want {
				t.Errorf("%s:\n got %s\nwant %s", name, got, want)
			}
		}
	}
}

// withoutTime takes the time off, and the spelling of JSON escapes.
func withoutTime(t *testing.T, record string, asJSON bool) string {
	t.Helper()
	if strings.Count(record, "\n") != 1 {
		t.Errorf("not one line: %q", record)
	}
	if !asJSON {
		_, rest, _ := strings.Cut(record, " ")
		return rest
	}
	fields := map[string]any{}
	if err := json.Unmarshal([]byte(record), &fields); err != nil {
		t.Fatalf("%v in %s", err, record)
	}
	delete(fields, "time")
	raw, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestMessageLog_SilentAboveInfo(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w := newLogWriter(&out)
	newMessageLog(Config{LogLevel: slog.LevelWarn}, w).Record(&routing.Message{})
	w.Flush()
	if out.Len() > 0 {
		t.Errorf("wrote %q", out.String())
	}
}
