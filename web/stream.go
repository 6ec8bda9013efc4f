package web

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"busbar/journal"
	"busbar/ocpi"
)

const (
	// heartbeatEvery keeps proxies from closing a stream on which nothing happens.
	heartbeatEvery = 15 * time.Second
	// recheckEvery is how soon a stream ends after its token.
	recheckEvery = time.Second
	// streamWrite bounds one write: a listener that does not read is let go.
	streamWrite = 30 * time.Second
)

// EndStreams ends all streams, which otherwise last as long as their clients
// want: the listener could not shut down.
func (s *Server) EndStreams() { s.endStreams() }

// streamMessages sends messages as they pass, as server-sent events: message
// with a message, legs when a broadcast has ended, lost with a number when the
// listener was too slow.
func (s *Server) streamMessages(c *gin.Context) {
	p := parameters{c, fields{}, s.cfg.Names}
	filter, recent := p.filter(), p.number("recent", 0, 0, 1000)
	if p.failed() {
		return
	}
	out := stream{c: c, rc: http.NewResponseController(c.Writer)}
	// ReadTimeout is for requests, not for a stream.
	_ = out.rc.SetReadDeadline(time.Time{})
	defer func() { _ = out.rc.SetWriteDeadline(time.Time{}) }()
	c.Header("Content-Type", "text/event-stream")
	c.Header("X-Accel-Buffering", "no")
	c.Status(http.StatusOK)
	listener := s.cfg.Journal.Subscribe(c.Request.Context(), filter, recent)
	out.text(": listening\n\n")
	s.follow(&out, listener)
}

// follow sends what the listener hears, until nobody takes it, the token ends or
// the hub stops.
func (s *Server) follow(out *stream, listener *journal.Listener) {
	heartbeat, recheck := time.NewTicker(heartbeatEvery), time.NewTicker(recheckEvery)
	defer heartbeat.Stop()
	defer recheck.Stop()
	for out.flush() {
		select {
		case <-out.c.Request.Context().Done():
			return
		case <-s.streamsEnd:
			return
		case <-recheck.C:
			if !s.isStillAdmitted(out.c) {
				return
			}
		case <-heartbeat.C:
			out.text(": still here\n\n")
		case e, ok := <-listener.Events:
			if !ok {
				return
			}
			out.event(e)
			// What waits goes out together.
			for range len(listener.Events) {
				if e, ok := <-listener.Events; ok {
					out.event(e)
				}
			}
		}
		if n := listener.Lost(); n > 0 {
			out.send("lost", gin.H{"lost": n})
		}
	}
}

// stream writes server-sent events. After the first error it writes nothing.
type stream struct {
	c   *gin.Context
	rc  *http.ResponseController
	err error
}

func (s *stream) event(e journal.Event) {
	if e.Message != nil {
		s.send("message", showMessage(e.Message))
		return
	}
	s.send("legs", struct {
		Time          string        `json:"time"`
		CorrelationID string        `json:"correlation_id"`
		Module        ocpi.ModuleID `json:"module"`
		From          ocpi.PartyKey `json:"from"`
		Legs          *legsJSON     `json:"legs"`
	}{ocpi.FormatTime(e.Legs.Time), e.Legs.CorrelationID, e.Legs.Module, e.Legs.From, showLegs(e.Legs, false)})
}

func (s *stream) send(name string, data any) {
	raw, err := json.Marshal(data)
	if err != nil {
		s.err = err
		return
	}
	s.text("event: " + name + "\ndata: " + string(raw) + "\n\n")
}

func (s *stream) text(text string) {
	if s.err == nil {
		_ = s.rc.SetWriteDeadline(time.Now().Add(streamWrite))
		_, s.err = s.c.Writer.WriteString(text)
	}
}

// flush sends what was written; it is false when nobody takes it any more.
func (s *stream) flush() bool {
	if s.err == nil {
		s.err = s.rc.Flush()
	}
	return s.err == nil
}
