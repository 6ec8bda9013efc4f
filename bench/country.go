//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"busbar/ocpi"
)

// countryPath is where the backend of a soak is told what to do, and tells what
// it saw:
//
//	GET  /COUNTRY/mood/{platform}/{mood}  the platform behaves so from now on
//	GET  /COUNTRY/commands                the commands since the last question
//	POST /COUNTRY/truth                   what was accepted: see ledger.learn
//	GET  /COUNTRY/report                  a countryReport
//	GET  /COUNTRY/ping                    an empty answer
const countryPath = "/COUNTRY/"

// mood is how a platform behaves.
type mood string

const (
	healthy mood = "healthy"
	// slow platforms answer a push of a Location slowPause later.
	slow mood = "slow"
	// hung platforms take those pushes and never answer them; all else they
	// answer, so that they stay CONNECTED.
	hungUp mood = "hanging"
	// away platforms close every connection on which something arrives.
	away mood = "away"
)

const slowPause = 500 * time.Millisecond

// country is what the backend's platforms do beyond answering: each keeps a
// ledger of the pushes it got.
type country struct {
	receivers map[string]*receiver
	names     []string // of receivers, in their order
	ledger    ledger
	direct    map[traffic]uint64
	commands  []command
	// late are answers that slow platforms owe, the first due first.
	late []lateAnswer
	// ledgered is what a push of a Location is answered.
	ledgered []byte
}

// receiver is a platform that is told of Locations.
type receiver struct {
	mood mood
	// worst is the mood by which it is judged: what it was before it recovered.
	worst mood
	// swallowed are the pushes that it did not answer because it hung.
	swallowed []lateAnswer
	sights
}

// lateAnswer is on the wire w, unless its descriptor has become another's.
type lateAnswer struct {
	due time.Time
	fd  int32
	w   *wire
}

// traffic is a kind of message from one party to another.
type traffic string

const (
	putSession    traffic = "PUT session"
	patchSession  traffic = "PATCH session"
	postCDR       traffic = "POST CDR"
	authorizeTkn  traffic = "authorize a Token"
	startCommand  traffic = "START_SESSION"
	commandResult traffic = "result of START_SESSION"
)

// command is one that waits for its CPO to post the result.
type command struct {
	CPO string `json:"cpo"`
	URL string `json:"url"`
}

// countryReport is what a country saw.
type countryReport struct {
	Receivers []receiverReport   `json:"receivers"`
	Direct    map[traffic]uint64 `json:"direct"`
	// Lags are those of all receivers that were healthy all the time.
	P50 time.Duration `json:"p50"`
	P99 time.Duration `json:"p99"`
	Max time.Duration `json:"max"`
}

func newCountry(success []byte) *country {
	return &country{
		receivers: make(map[string]*receiver), ledger: newLedger(), direct: make(map[traffic]uint64), ledgered: success,
	}
}

// errAway closes the connection to a platform that is away.
var errAway = errors.New("the platform is away")

// reply answers a request to one of the country's platforms.
func (c *country) reply(b *backend, fd int32, head, body []byte) error {
	now := time.Now()
	method, rest, _ := bytes.Cut(firstOf(head), []byte(" "))
	path, _, _ := bytes.Cut(rest, []byte(" "))
	if what, ok := bytes.CutPrefix(path, []byte(countryPath)); ok {
		_, err := socket(fd).Write(c.told(b, string(what), body))
		return err
	}
	name, object, _ := bytes.Cut(path[1:], []byte("/"))
	r := c.receivers[string(name)]
	if r != nil && r.mood == away {
		return errAway
	}
	pushed, ok := bytes.CutPrefix(object, []byte("ocpi/2.2.1/receiver/locations/"))
	if r == nil || !ok || !isPush(head) {
		_, err := socket(fd).Write(c.other(b, string(method), string(name), string(object), head, body))
		return err
	}
	if r.mood == hungUp {
		r.swallowed = append(r.swallowed, lateAnswer{now, fd, b.wires[fd]})
		return nil
	}
	c.ledger.take(&r.sights, pushed, body, method[1] == 'U', now)
	if r.mood == slow {
		c.late = append(c.late, lateAnswer{now.Add(slowPause), fd, b.wires[fd]})
		return nil
	}
	_, err := socket(fd).Write(c.ledgered)
	return err
}

// until is when the next late answer is due; zero when none is.
func (c *country) until() time.Time {
	if c == nil || len(c.late) == 0 {
		return time.Time{}
	}
	return c.late[0].due
}

// catchUp gives the late answers that are due.
func (c *country) catchUp(b *backend, now time.Time) {
	for c != nil && len(c.late) > 0 && !c.late[0].due.After(now) {
		l := c.late[0]
		c.late = c.late[1:]
		if b.wires[l.fd] == l.w {
			socket(l.fd).Write(c.ledgered) // a hub that is gone reads nothing more
		}
	}
}

// told does what is asked below countryPath.
func (c *country) told(b *backend, what string, body []byte) []byte {
	verb, rest, _ := strings.Cut(what, "/")
	switch verb {
	case "mood":
		name, m, _ := strings.Cut(rest, "/")
		c.become(b, name, mood(m))
	case "commands":
		asked := c.commands
		c.commands = nil
		return answered(asked)
	case "truth":
		if err := c.ledger.learn(body); err != nil {
			return response(http.StatusBadRequest, ocpi.Envelope(nil, ocpi.ClientError, err.Error()))
		}
	case "report":
		return answered(c.report())
	}
	return c.ledgered
}

// become gives a receiver a mood. One that hangs no more closes the connections on
// which it owes an answer, as a program does that is started again.
func (c *country) become(b *backend, name string, m mood) {
	r := c.receivers[name]
	if r == nil {
		r = &receiver{worst: m}
		c.receivers[name] = r
		c.names = append(c.names, name)
	}
	r.mood = m
	for _, l := range r.swallowed {
		if b.wires[l.fd] == l.w {
			b.drop(l.fd)
		}
	}
	r.swallowed = nil
	if m != healthy {
		r.worst = m
	}
}

func (c *country) report() countryReport {
	report := countryReport{Direct: c.direct}
	var all lags
	for _, name := range c.names {
		r := c.receivers[name]
		report.Receivers = append(report.Receivers, c.ledger.judge(name, r))
		if r.worst == healthy {
			all.merge(&r.lags)
		}
	}
	report.P50, report.P99, report.Max = all.quantile(0.5), all.quantile(0.99), all.quantile(1)
	return report
}

// other answers what is not a push of a Location to a receiver.
func (c *country) other(b *backend, method, name, object string, head, body []byte) []byte {
	object, _, _ = strings.Cut(object, "?")
	switch {
	case strings.HasPrefix(object, "ocpi/2.2.1/receiver/sessions/") && method == "PUT":
		return c.counted(putSession, nil)
	case strings.HasPrefix(object, "ocpi/2.2.1/receiver/sessions/") && method == "PATCH":
		return c.counted(patchSession, nil)
	case object == "ocpi/2.2.1/receiver/cdrs" && method == "POST":
		c.direct[postCDR]++
		return c.located(b, name)
	case strings.HasSuffix(object, "/authorize") && method == "POST":
		return c.counted(authorizeTkn, map[string]any{"allowed": "ALLOWED", "authorization_reference": "soak"})
	case object == "ocpi/2.2.1/receiver/commands/START_SESSION" && method == "POST":
		var asked struct {
			ResponseURL string `json:"response_url"`
		}
		if err := json.Unmarshal(body, &asked); err != nil {
			return response(http.StatusBadRequest, ocpi.Envelope(nil, ocpi.ClientError, err.Error()))
		}
		c.commands = append(c.commands, command{name, asked.ResponseURL})
		return c.counted(startCommand, map[string]any{"result": "ACCEPTED", "timeout": 30})
	case strings.HasPrefix(object, resultPath) && method == "POST":
		return c.counted(commandResult, nil)
	}
	return b.answer(head, body)
}

// resultPath is where eMSPs want to hear the results of their commands.
const resultPath = "result/"

func (c *country) counted(kind traffic, data any) []byte {
	if c.direct[kind]++; data == nil {
		return c.ledgered
	}
	return answered(data)
}

// located answers a CDR with its URL (2.2.1 mod_cdrs, POST).
func (c *country) located(b *backend, name string) []byte {
	url := b.root(name) + "/2.2.1/receiver/cdrs/" + strconv.FormatUint(c.direct[postCDR], 10)
	body := ocpi.Envelope(nil, ocpi.Success, "Success")
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLocation: %s\r\nContent-Length: %d\r\n\r\n%s", url, len(body), body)
}
