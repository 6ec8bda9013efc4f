package hubtest

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Run plays every script in dir, each on a hub of its own, in parallel.
//
// A script is lines. Blank lines and lines with # are for the reader; a comment
// before a request names it in failures.
//
//	platform NAME NL/CPA:CPO …        enrols and registers a platform
//	  modules locations:SENDER …      (indented) endpoints it advertises
//	NAME answers 404 BODY             what functional modules get from now on
//	NAME answers header NAME: VALUE   with a header
//	NAME answers nothing              closes the connection instead
//	NAME is suspended | deleted       by the operator
//	METHOD PATH [as NAME] [from NL/CPA] [to DE/MSP]
//	  header NAME: VALUE              (indented) parts of the request
//	  body BODY
//	http == 200                       what came back
//	ocpi == 1000
//	header NAME == VALUE | != VALUE | is absent | is present
//	message ~ TEXT
//	body == BODY | ~ TEXT
//	NAME received METHOD URI          what reached a platform, the last request
//	NAME received header NAME == VALUE | != VALUE | is absent | is present
//	NAME received body == BODY
//	NAME received nothing
//	NAME receives METHOD URI          waits for it; "received" then speaks of it
//	NAME is told NL/CPA ROLE STATUS   waits for a ClientInfo
//
// {hub} stands for the hub's public URL, {NAME} for a platform's URL, and
// {response_url of NAME} for the path of the one that the platform received last.
func Run(t *testing.T, dir string) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts in %s: %v", dir, err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			s := &script{t: t, hub: Start(t), platforms: make(map[string]*Platform),
				awaited: make(map[*Platform]Received), taken: make(map[*Platform]map[int]bool)}
			for i, line := range strings.Split(string(raw), "\n") {
				s.at = fmt.Sprintf("%s:%d", filepath.Base(path), i+1)
				s.line(strings.TrimRight(line, " \t"))
			}
			s.flush()
		})
	}
}

type script struct {
	t         *testing.T
	hub       *Hub
	platforms map[string]*Platform
	at, title string

	// pending is begun by a line and completed by the indented lines below it.
	pending func()
	request Request
	roles   []string
	modules []string
	last    *Response
	// awaited is the request that each platform received last by "receives", and
	// taken how many of its requests were spoken of.
	awaited map[*Platform]Received
	taken   map[*Platform]map[int]bool
}

func (s *script) line(line string) {
	switch {
	case line == "":
	case strings.HasPrefix(line, "#"):
		s.flush()
		s.title = strings.TrimSpace(line[1:])
	case strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t"):
		s.part(s.expand(strings.TrimSpace(line)))
	default:
		s.flush()
		s.statement(s.expand(line))
	}
}

// flush carries out what the lines so far began.
func (s *script) flush() {
	if do := s.pending; do != nil {
		s.pending = nil
		do()
	}
}

func (s *script) expand(line string) string {
	line = strings.ReplaceAll(line, "{hub}", "http://hub.test")
	for name, p := range s.platforms {
		line = strings.ReplaceAll(line, "{"+name+"}", p.Server.URL)
		if word := "{response_url of " + name + "}"; strings.Contains(line, word) {
			line = strings.ReplaceAll(line, word, s.responsePath(name, p))
		}
	}
	return line
}

// responsePath is the path of the hub's response_url in the last body that has one.
func (s *script) responsePath(name string, p *Platform) string {
	for _, got := range slices.Backward(p.Received()) {
		if _, rest, ok := strings.Cut(got.Body, `"response_url":"http://hub.test`); ok {
			path, _, _ := strings.Cut(rest, `"`)
			return path
		}
	}
	s.fatal("%s received no response_url", name)
	return ""
}

func (s *script) fatal(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("%s: %s: %s", s.at, s.title, fmt.Sprintf(format, args...))
}

func (s *script) statement(line string) {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "platform":
		name, roles, _ := strings.Cut(rest, " ")
		s.roles, s.modules = strings.Fields(roles), nil
		s.pending = func() { s.register(name) }
	case "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS":
		s.begin(word, strings.Fields(rest))
	case "http":
		s.compare(rest, strconv.Itoa(s.last.Status))
	case "ocpi":
		s.compare(rest, strconv.Itoa(s.last.OCPI()))
	case "header":
		s.compareHeader(rest, s.last.Header)
	case "message":
		s.compare(rest, s.last.Message())
	case "body":
		s.compare(rest, s.last.Body)
	default:
		p := s.platforms[word]
		if p == nil {
			s.fatal("unknown statement %q", line)
		}
		s.platform(p, rest)
	}
}

func (s *script) register(name string) {
	p := s.hub.NewPlatform(name, s.roles...)
	if s.modules != nil {
		p.Modules = s.modules
	}
	p.Register()
	s.platforms[name] = p
}

// part completes the pending statement.
func (s *script) part(line string) {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "modules":
		s.modules = strings.Fields(rest)
	case "header":
		name, value, _ := strings.Cut(rest, ": ")
		s.request.Header.Add(name, value)
	case "body":
		s.request.Body = rest
	default:
		s.fatal("unknown part %q", line)
	}
}

func (s *script) begin(method string, words []string) {
	s.request = Request{Method: method, Path: words[0], Header: http.Header{}}
	for i := 1; i+1 < len(words); i += 2 {
		switch words[i] {
		case "as":
			p := s.platforms[words[i+1]]
			if p == nil {
				s.fatal("no platform %s", words[i+1])
			}
			s.request.Token = p.TokenC
		case "from":
			s.request.From = words[i+1]
		case "to":
			s.request.To = words[i+1]
		default:
			s.fatal("unknown word %q", words[i])
		}
	}
	s.pending = func() { s.last = s.hub.Send(s.t, s.request) }
}

func (s *script) platform(p *Platform, rest string) {
	verb, rest, _ := strings.Cut(rest, " ")
	switch verb {
	case "answers":
		s.answers(p, rest)
	case "is":
		s.is(p, rest)
	case "received":
		s.received(p, rest)
	case "receives":
		s.receives(p, rest)
	default:
		s.fatal("unknown verb %q", verb)
	}
}

func (s *script) answers(p *Platform, rest string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	word, more, _ := strings.Cut(rest, " ")
	switch word {
	case "header":
		name, value, _ := strings.Cut(more, ": ")
		header := p.answer.Header.Clone()
		if header == nil {
			header = http.Header{}
		}
		header[name] = append(header[name], value)
		p.answer.Header = header
	case "nothing":
		p.Server.Close()
	default:
		status, err := strconv.Atoi(word)
		if err != nil {
			s.fatal("answers %q: want a status", word)
		}
		p.answer = Answer{Status: status, Body: more}
	}
}

func (s *script) is(p *Platform, state string) {
	if who, ok := strings.CutPrefix(state, "told "); ok {
		s.isTold(p, who)
		return
	}
	method, path := "POST", "/api/v1/platforms/"+p.ID
	switch state {
	case "suspended":
		path += "/suspend"
	case "resumed":
		path += "/resume"
	case "deleted":
		method = "DELETE"
	default:
		s.fatal("unknown state %q", state)
	}
	if status, answer := s.hub.Admin(method, path, nil); status/100 != 2 {
		s.fatal("%s %s: HTTP %d %v", method, path, status, answer)
	}
}

func (s *script) received(p *Platform, rest string) {
	all := p.Received()
	if rest == "nothing" {
		if len(all) > 0 {
			s.fatal("received %s %s", all[len(all)-1].Method, all[len(all)-1].URI)
		}
		return
	}
	if len(all) == 0 {
		s.fatal("received nothing, want %s", rest)
	}
	last := all[len(all)-1]
	if awaited, ok := s.awaited[p]; ok {
		last = awaited
	}
	word, more, _ := strings.Cut(rest, " ")
	switch word {
	case "header":
		s.compareHeader(more, last.Header)
	case "body":
		s.compare(more, last.Body)
	default:
		if got := last.Method + " " + last.URI; got != rest {
			s.fatal("received %q, want %q", got, rest)
		}
	}
}

// receives waits for a request that no "receives" took before.
func (s *script) receives(p *Platform, want string) {
	p.Await(s.at+": "+want, func() bool {
		for i, got := range p.Received() {
			if got.Method+" "+got.URI == want && !s.taken[p][i] {
				if s.taken[p] == nil {
					s.taken[p] = make(map[int]bool)
				}
				s.taken[p][i], s.awaited[p] = true, got
				return true
			}
		}
		return false
	})
}

// isTold waits for a ClientInfo: "NL/CPA CPO OFFLINE".
func (s *script) isTold(p *Platform, want string) {
	words := strings.Fields(want)
	if len(words) != 3 {
		s.fatal("is told %q: want a party, a role and a status", want)
	}
	p.Await(s.at+": told "+want, func() bool {
		for _, got := range p.Told() {
			if got.Method == "PUT" && got.URI == "/receiver/hubclientinfo/"+words[0] &&
				strings.Contains(got.Body, `"role":"`+words[1]+`"`) && strings.Contains(got.Body, `"status":"`+words[2]+`"`) {
				return true
			}
		}
		return false
	})
}

func (s *script) compareHeader(rest string, header http.Header) {
	name, rest, _ := strings.Cut(rest, " ")
	values := header.Values(name)
	switch rest {
	case "is absent":
		if len(values) > 0 {
			s.fatal("header %s is %q, want none", name, values)
		}
	case "is present":
		if len(values) == 0 || values[0] == "" {
			s.fatal("header %s is absent", name)
		}
	default:
		s.compare(rest, strings.Join(values, ", "))
	}
}

func (s *script) compare(rest, got string) {
	operator, want, _ := strings.Cut(rest, " ")
	ok := false
	switch operator {
	case "==":
		ok = got == want
	case "!=":
		ok = got != want
	case "~":
		ok = strings.Contains(got, want)
	default:
		s.fatal("unknown operator %q", operator)
	}
	if !ok {
		body := ""
		if s.last != nil {
			body = "; answer: HTTP " + strconv.Itoa(s.last.Status) + " " + s.last.Body
		}
		s.fatal("got %q, want %s %q%s", got, operator, want, body)
	}
}
