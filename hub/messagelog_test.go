package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
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
	attrs := []slog.Attr{
		slog.String("correlation_id", m.CorrelationID), slog.String("request_id", m.RequestID),
		slog.String("from", m.From.String()), slog.String("to", m.To.String()), slog.String("method", m.Method),
		slog.String("module", string(m.Module)), slog.String("interface", string(m.Interface)), slog.String("path", m.Path),
		slog.String("plan", string(m.Plan)), slog.String("outcome", string(m.Outcome)),
		slog.Int("http_status", m.HTTPStatus), slog.Int("ocpi_status", int(m.OCPIStatus)),
		slog.Duration("duration", m.Duration), slog.Duration("peer", m.Peer),
	}
	if m.Detail != "" {
		attrs = append(attrs, slog.String("detail", m.Detail))
	}
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

// TestMessageLog_Time holds for every number of decimals.
func TestMessageLog_Time(t *testing.T) {
	t.Parallel()
	for _, zone := range []*time.Location{time.UTC, time.FixedZone("", -(3*3600 + 1800))} {
		for _, nanos := range []int{0, 1, 99_999, 100_000, 999_999, 1_000_000, 120_000_000, 999_999_999} {
			at := time.Date(2026, 2, 3, 4, 5, 6, nanos, zone)
			if got, want := string(appendMillis([]byte("x"), at)), "x"+at.Format("2006-01-02T15:04:05.000Z07:00"); got != want {
				t.Errorf("%d ns: %s, want %s", nanos, got, want)
			}
		}
	}
}

func BenchmarkMessageLog(b *testing.B) {
	from, _ := ocpi.ParseParty("NLCPA")
	to, _ := ocpi.ParseParty("DEMSP")
	m := routing.Message{
		Time: time.Now(), CorrelationID: "b6a0c3de-1f24-47d9-9c55-000000000001", RequestID: "4f1d7a52-93c6-4e0b-8a71-000000000001",
		From: from, To: to, Method: "PUT", Module: "locations", Interface: ocpi.Receiver, Path: "/NL/CPA/LOC1",
		Plan: routing.PlanDirect, Outcome: routing.OutcomeOK, HTTPStatus: 200, OCPIStatus: 1000, Duration: 1234567, Peer: 999876,
	}
	l := newMessageLog(Config{}, newLogWriter(io.Discard))
	b.ReportAllocs()
	for b.Loop() {
		l.Record(&m)
	}
}
