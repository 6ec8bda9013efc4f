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
	lines   sync.Pool
}

func newMessageLog(cfg Config, out *logWriter) *messageLog {
	return &messageLog{
		out: out, enabled: cfg.LogLevel <= slog.LevelInfo,
		lines: sync.Pool{New: func() any { return &line{bytes: make([]byte, 0, 512), json: cfg.LogJSON} }},
	}
}

// Record implements routing.Journal.
func (l *messageLog) Record(m *routing.Message) {
	if !l.enabled {
		return
	}
	b := l.lines.Get().(*line)
	b.begin(m.Time.Add(m.Duration))
	b.attributes(m)
	b.end()
	_, _ = l.out.Write(b.bytes)
	l.lines.Put(b)
}

// RecordLegs implements routing.Journal. The log has one record for a message;
// legs are the journal's.
func (l *messageLog) RecordLegs(*routing.Legs) {}

// line is a record that is being written, in slog's format for text or for JSON.
type line struct {
	bytes []byte
	json  bool
}

func (b *line) begin(t time.Time) {
	if b.json {
		b.bytes = t.AppendFormat(append(b.bytes[:0], `{"time":"`...), time.RFC3339Nano)
		b.bytes = append(b.bytes, `","level":"INFO","msg":"message"`...)
		return
	}
	b.bytes = appendMillis(append(b.bytes[:0], "time="...), t)
	b.bytes = append(b.bytes, ` level=INFO msg=message`...)
}

func (b *line) end() {
	if b.json {
		b.bytes = append(b.bytes, '}')
	}
	b.bytes = append(b.bytes, '\n')
}

// appendMillis writes the time as RFC 3339 with three decimals. The time package
// is quick at writing nine, less trailing zeros: one digit more keeps those.
func appendMillis(b []byte, t time.Time) []byte {
	const length = len("2006-01-02T15:04:05.000")
	start := len(b)
	b = t.Truncate(time.Millisecond).Add(time.Millisecond/10).AppendFormat(b, time.RFC3339Nano)
	return append(b[:start+length], b[start+length+1:]...)
}

// attributes writes those of a record, in their order.
func (b *line) attributes(m *routing.Message) {
	b.text("correlation_id", m.CorrelationID)
	b.text("request_id", m.RequestID)
	b.text("from", m.From.String())
	b.text("to", m.To.String())
	b.text("method", m.Method)
	b.text("module", string(m.Module))
	b.text("interface", string(m.Interface))
	b.text("path", m.Path)
	b.text("plan", string(m.Plan))
	b.text("outcome", string(m.Outcome))
	b.number("http_status", int64(m.HTTPStatus))
	b.number("ocpi_status", int64(m.OCPIStatus))
	b.duration("duration", m.Duration)
	b.duration("peer", m.Peer)
	if m.Detail != "" {
		b.text("detail", m.Detail)
	}
}

// name writes an attribute up to its value.
func (b *line) name(name string) {
	if b.json {
		b.bytes = append(append(append(b.bytes, `,"`...), name...), `":`...)
	} else {
		b.bytes = append(append(append(b.bytes, ' '), name...), '=')
	}
}

func (b *line) text(name, value string) {
	b.name(name)
	switch {
	case b.json:
		b.bytes = appendJSONString(b.bytes, value)
	case needsQuotes(value):
		b.bytes = strconv.AppendQuote(b.bytes, value)
	default:
		b.bytes = append(b.bytes, value...)
	}
}

func (b *line) number(name string, value int64) {
	b.name(name)
	b.bytes = strconv.AppendInt(b.bytes, value, 10)
}

// duration writes nanoseconds into JSON.
func (b *line) duration(name string, d time.Duration) {
	b.name(name)
	if b.json {
		b.bytes = strconv.AppendInt(b.bytes, int64(d), 10)
	} else {
		b.bytes = append(b.bytes, d.String()...)
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
