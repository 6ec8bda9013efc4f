package hub

import (
	"log/slog"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"busbar/routing"
)

// messageLog writes the one record of a routed message (house style 14). It
// writes the same lines as the hub's slog handlers do, by hand: fifteen
// attributes through slog cost a tenth of a message.
type messageLog struct {
	out     *logWriter
	enabled bool
	json    bool
	lines   sync.Pool
}

func newMessageLog(cfg Config, out *logWriter) *messageLog {
	return &messageLog{
		out: out, enabled: cfg.LogLevel <= slog.LevelInfo, json: cfg.LogJSON,
		lines: sync.Pool{New: func() any { b := make(line, 0, 512); return &b }},
	}
}

// Record implements routing.Journal.
func (l *messageLog) Record(m *routing.Message) {
	if !l.enabled {
		return
	}
	b := l.lines.Get().(*line)
	*b = (*b)[:0]
	if l.json {
		*b = append(b.json(m), '}', '\n')
	} else {
		*b = append(b.text(m), '\n')
	}
	_, _ = l.out.Write(*b)
	l.lines.Put(b)
}

// RecordLegs implements routing.Journal. The log has one record for a message;
// legs are the journal's.
func (l *messageLog) RecordLegs(*routing.Legs) {}

// line is a record that is being written.
type line []byte

func (b *line) text(m *routing.Message) line {
	*b = append(*b, "time="...)
	*b = m.Time.Add(m.Duration).AppendFormat(*b, "2006-01-02T15:04:05.000Z07:00")
	*b = append(*b, ` level=INFO msg=message`...)
	each(m, func(name, value string) {
		*b = append(append(append(*b, ' '), name...), '=')
		if needsQuotes(value) {
			*b = strconv.AppendQuote(*b, value)
		} else {
			*b = append(*b, value...)
		}
	}, func(name string, value int64) {
		*b = append(append(append(*b, ' '), name...), '=')
		if name == durationName || name == peerName {
			*b = append(*b, time.Duration(value).String()...)
		} else {
			*b = strconv.AppendInt(*b, value, 10)
		}
	})
	return *b
}

func (b *line) json(m *routing.Message) line {
	*b = append(*b, `{"time":"`...)
	*b = m.Time.Add(m.Duration).AppendFormat(*b, time.RFC3339Nano)
	*b = append(*b, `","level":"INFO","msg":"message"`...)
	each(m, func(name, value string) {
		*b = append(append(append(*b, `,"`...), name...), `":`...)
		*b = appendJSONString(*b, value)
	}, func(name string, value int64) {
		*b = append(append(append(*b, `,"`...), name...), `":`...)
		*b = strconv.AppendInt(*b, value, 10)
	})
	return *b
}

// The two attributes that are durations, in nanoseconds.
const (
	durationName = "duration"
	peerName     = "peer"
)

// each names the attributes of a record, in their order.
func each(m *routing.Message, text func(name, value string), number func(name string, value int64)) {
	text("correlation_id", m.CorrelationID)
	text("request_id", m.RequestID)
	text("from", m.From.String())
	text("to", m.To.String())
	text("method", m.Method)
	text("module", string(m.Module))
	text("interface", string(m.Interface))
	text("path", m.Path)
	text("plan", string(m.Plan))
	text("outcome", string(m.Outcome))
	number("http_status", int64(m.HTTPStatus))
	number("ocpi_status", int64(m.OCPIStatus))
	number(durationName, int64(m.Duration))
	number(peerName, int64(m.Peer))
	if m.Detail != "" {
		text("detail", m.Detail)
	}
}

// needsQuotes is slog's rule for its text format.
func needsQuotes(s string) bool {
	if s == "" {
		return true
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c == '"' || c == '=' || c >= 0x7f {
			return true
		}
	}
	return false
}

// appendJSONString writes a JSON string; what is not UTF-8 becomes U+FFFD.
func appendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < 0x20 || r == 0x7f || r == 0x2028 || r == 0x2029:
			b = append(b, `\u`...)
			const hex = "0123456789abcdef"
			b = append(b, hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}
