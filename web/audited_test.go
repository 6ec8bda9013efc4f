package web

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"busbar/access"
)

// entries is a record of the audit trail that keeps what it was given, in order.
type entries struct {
	access.AuditStore
	mu   sync.Mutex
	list []access.Entry
}

func (r *entries) SaveEntry(_ context.Context, e access.Entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, e)
	return nil
}

// A handler that panics leaves an entry that it failed, and an answer.
func TestAudited_APanicIsAFailure(t *testing.T) {
	t.Parallel()
	record := &entries{}
	s := bare(t, nil)
	s.cfg.Logger = slog.New(slog.DiscardHandler)
	s.cfg.Trail = access.NewTrail(access.TrailConfig{Store: record, Logger: s.cfg.Logger})
	r := route{"POST", "/api/v1/things/:id", access.Operator, "thing.break", nil}
	s.engine.POST(r.path, s.authenticate, s.require(r), s.audited(r), func(c *gin.Context) {
		noteChange(c, "thing", "whole", "broken")
		_, _ = c.Writer.WriteString("half an answer")
		panic("a mistake")
	})
	got := s.ask(t.Context(), "POST", "/api/v1/things/7", "")
	if got.Code != http.StatusInternalServerError || strings.Contains(got.Body.String(), "mistake") {
		t.Errorf("HTTP %d: %s", got.Code, got.Body)
	}
	if n := len(record.list); n != 2 || record.list[0].Outcome != access.Attempted || record.list[1].Outcome != access.Failed ||
		record.list[1].Status != 500 || record.list[1].Target != "7" || record.list[1].Changes[0].After != "broken" {
		t.Errorf("entries %+v", record.list)
	}
}

// Nothing of an answer is on its way before the trail has the outcome.
func TestAudited_TheAnswerWaitsForTheTrail(t *testing.T) {
	t.Parallel()
	record, w := &entries{}, httptest.NewRecorder()
	s := bare(t, nil)
	s.cfg.Trail = access.NewTrail(access.TrailConfig{Store: record})
	r := route{"POST", "/api/v1/things", access.Operator, "thing.make", nil}
	s.engine.POST(r.path, s.authenticate, s.audited(r), func(c *gin.Context) {
		c.Header("Location", "/api/v1/things/7")
		c.JSON(http.StatusCreated, gin.H{"id": "7"})
		c.Writer.Flush()
		if w.Body.Len() > 0 || w.Flushed {
			t.Errorf("sent before the trail was written: %s", w.Body)
		}
	})
	request := httptest.NewRequestWithContext(t.Context(), "POST", "/api/v1/things", nil)
	request.Header.Set("Authorization", "Bearer secret")
	s.Handler().ServeHTTP(w, request)
	if w.Code != http.StatusCreated || w.Body.String() != `{"id":"7"}` || w.Header().Get("Location") == "" || w.Header().Get(lateHeader) != "" {
		t.Errorf("HTTP %d %v: %s", w.Code, w.Header(), w.Body)
	}
	if n := len(record.list); n != 2 || record.list[1].Outcome != access.Done || record.list[1].Status != 201 {
		t.Errorf("entries %+v", record.list)
	}
}

// The listener's WriteTimeout is for answers: a stream sets its own.
func TestStream_OutlivesTheWriteTimeout(t *testing.T) {
	t.Parallel()
	s := bare(t, nil)
	server := httptest.NewUnstartedServer(s.Handler())
	server.Config.WriteTimeout = time.Nanosecond // which has passed when anything is written
	server.Start()
	defer server.Close()
	defer s.EndStreams()
	if text, err := firstLine(t, server, "/api/v1/messages/stream"); !strings.HasPrefix(text, "HTTP/1.1 200") {
		t.Errorf("a stream: %q, %v", text, err)
	}
	if text, err := firstLine(t, server, "/healthz"); err == nil {
		t.Errorf("an answer: %q, so this test shows nothing", text)
	}
}

func firstLine(t *testing.T, server *httptest.Server, path string) (string, error) {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET " + path + " HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer secret\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 64)
	n, err := conn.Read(line)
	return string(line[:n]), err
}
