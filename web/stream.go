package web

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"busbar/journal"
	"busbar/ocpi"
	"busbar/routing"
)

const (
	// heartbeatEvery keeps proxies from closing a stream on which nothing happens.
	heartbeatEvery = 15 * time.Second
	// recheckEvery is how soon a stream ends after its token.
	recheckEvery = time.Second
	// streamWrite bounds one write: a listener that does not read is let go.
	streamWrite = 30 * time.Second
	// mostStreams are open at a time: each has room for a thousand events.
	mostStreams = 100
	// streamRetry is when one that was refused may try again, in seconds.
	streamRetry = "10"
)

// streams counts those that are open, of each actor by its id.
type streams struct {
	mu  sync.Mutex
	all int
	of  map[string]int
}

// open counts one more, unless the actor would have more than it leaves free to
// others: so one that opens all it gets has half.
func (s *streams) open(actor string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of[actor]+1 > mostStreams-s.all-1 {
		return false
	}
	if s.of == nil {
		s.of = make(map[string]int)
	}
	s.all++
	s.of[actor]++
	return true
}

func (s *streams) close(actor string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.of[actor]--; s.of[actor] == 0 {
		delete(s.of, actor)
	}
}

// EndStreams ends all streams, which otherwise last as long as their clients
// want: the listener could not shut down.
func (s *Server) EndStreams() { s.endStreams() }

// streamMessages sends messages as they pass, as server-sent events: message
// with a message, legs when a broadcast has ended, lost with a number when events
// are missing, replicas when those of other replicas are, or no longer.
func (s *Server) streamMessages(c *gin.Context) {
	p := parameters{c, fields{}, s.cfg.Names}
	filter, recent := p.filter(), p.number("recent", 0, 0, 1000)
	if p.failed() {
		return
	}
	actor := actorOf(c).ID
	if !s.streams.open(actor) {
		c.Header("Retry-After", streamRetry)
		fail(c, http.StatusTooManyRequests, "too many streams are open with this token", nil)
		return
	}
	defer s.streams.close(actor)
	out := stream{c: c, rc: http.NewResponseController(c.Writer)}
	// ReadTimeout is for requests, not for a stream.
	_ = out.rc.SetReadDeadline(time.Time{})
	defer func() { _ = out.rc.SetWriteDeadline(time.Time{}) }()
	c.Header("Content-Type", "text/event-stream")
	c.Header("X-Accel-Buffering", "no")
	c.Status(http.StatusOK)
	listener := s.cfg.Journal.Subscribe(c.Request.Context(), filter, recent)
	out.text(": listening\n\n")
	out.gaps(listener)
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
		out.gaps(listener)
	}
}

// stream writes server-sent events. After the first error it writes nothing.
type stream struct {
	c   *gin.Context
	rc  *http.ResponseController
	err error
	// partial is what was said last of other replicas.
	partial bool
}

func (s *stream) event(e journal.Event) {
	switch {
	case e.Message != nil:
		s.send("message", showMessage(e.Message))
	case e.Legs != nil:
		s.legs(e.Legs)
	}
}

// gaps says what is missing.
func (s *stream) gaps(l *journal.Listener) {
	if partial := l.Partial(); partial != s.partial {
		s.partial = partial
		s.send("replicas", gin.H{"partial": partial})
	}
	if n := l.Lost(); n > 0 {
		s.send("lost", gin.H{"lost": n})
	}
}

func (s *stream) legs(l *routing.Legs) {
	s.send("legs", struct {
		Time          string        `json:"time"`
		CorrelationID string        `json:"correlation_id"`
		Module        ocpi.ModuleID `json:"module"`
		From          ocpi.PartyKey `json:"from"`
		Legs          *legsJSON     `json:"legs"`
	}{ocpi.FormatTime(l.Time), l.CorrelationID, l.Module, l.From, showLegs(l, false)})
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
