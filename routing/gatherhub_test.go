package routing

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"busbar/catalog"
	"busbar/ocpi"
	"busbar/ocpi/peer"
	"busbar/parties"
)

// plainSealer seals nothing, but finds what was changed or belongs elsewhere.
type plainSealer struct{}

func (plainSealer) Seal(text, context string) (string, error) {
	sum := sha256.Sum256([]byte(context + "\x00" + text))
	return base64.StdEncoding.EncodeToString(append(sum[:8], text...)), nil
}

func (s plainSealer) Open(sealed, context string) (string, error) {
	raw, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil || len(raw) < 8 {
		return "", errors.New("damaged")
	}
	if again, _ := s.Seal(string(raw[8:]), context); again != sealed {
		return "", errors.New("damaged")
	}
	return string(raw[8:]), nil
}

// lister is a party that serves one list at the wire: objects N of them, named
// after the party.
type lister struct {
	party, role string
	objects     int
	// Quirks: without X-Total-Count, without Link, all objects whatever the
	// limit, pages no larger than most, a Link made by link.
	noTotal, noLink, ignoresLimit bool
	most                          int
	link                          func(page string) string
	// answer may answer by itself.
	answer func(w http.ResponseWriter, r *http.Request) bool

	mu    sync.Mutex
	asked []*http.Request
}

func (l *lister) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	l.asked = append(l.asked, r)
	answer := l.answer
	l.mu.Unlock()
	if answer != nil && answer(w, r) {
		return
	}
	q := r.URL.Query()
	offset, _ := strconv.Atoi(q.Get("offset"))
	limit, err := strconv.Atoi(q.Get("limit"))
	if l.ignoresLimit || err != nil {
		offset, limit = 0, l.objects
	}
	if l.most > 0 {
		limit = min(limit, l.most)
	}
	end := min(offset+limit, l.objects)
	var list []string
	for i := offset; i < end; i++ {
		list = append(list, fmt.Sprintf(`{"id": "%s-%d" }`, l.party, i))
	}
	if !l.noTotal {
		w.Header().Set("X-Total-Count", strconv.Itoa(l.objects))
	}
	if !l.noLink && end < l.objects {
		q.Set("offset", strconv.Itoa(end))
		next := "http://" + r.Host + r.URL.Path + "?" + q.Encode()
		if l.link != nil {
			next = l.link(next)
		}
		w.Header().Set("Link", "<"+next+`>; rel="next"`)
	}
	fmt.Fprintf(w, `{"status_code":1000,"data":[%s],"timestamp":"2026-01-01T00:00:00Z"}`, strings.Join(list, " , "))
}

// calls are the queries that a party got.
func (l *lister) calls() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var queries []string
	for _, r := range l.asked {
		queries = append(queries, r.URL.RawQuery)
	}
	return queries
}

// gatherHub is a hub with an eMSP, DEMSP on the platform drivers, and parties
// with lists, each on its own platform.
type gatherHub struct {
	t         *testing.T
	directory *parties.Directory
	router    *Router
	revision  int64
}

func newGatherHub(t *testing.T, listers ...*lister) *gatherHub {
	t.Helper()
	h := &gatherHub{t: t, directory: parties.NewDirectory(peer.NewDialer(peer.DialerConfig{AllowPrivate: true}))}
	h.platform("drivers", "http://drivers.test", nil, role(t, "DEMSP", ocpi.RoleEMSP), role(t, "DEMS2", ocpi.RoleEMSP))
	for _, l := range listers {
		h.add(l)
	}
	h.router = NewRouter(RouterConfig{
		Directory: h.directory, Hub: parties.Identity{Party: party(t, "EUBUS"), PublicURL: "https://hub.test"},
		Timeout: 10 * time.Second, Sealer: plainSealer{}, Logger: slog.New(slog.DiscardHandler),
		Index: NewIndex(IndexConfig{}), Catalog: catalog.New(catalog.Config{}),
	})
	return h
}

// add starts the party's server.
func (h *gatherHub) add(l *lister) *httptest.Server {
	server := httptest.NewServer(l)
	h.t.Cleanup(server.Close)
	if l.role == "" {
		l.role = "CPO"
	}
	h.platform(l.party, server.URL, nil, role(h.t, l.party, ocpi.Role(l.role)))
	return server
}

func (h *gatherHub) platform(name, base string, change func(*parties.Platform), roles ...ocpi.PartyRole) {
	h.revision++
	p := parties.Platform{ID: parties.PlatformID(name), Status: ocpi.Connected, Version: ocpi.V221, Revision: h.revision}
	for _, r := range roles {
		p.Roles = append(p.Roles, ocpi.CredentialsRole{PartyRole: r})
	}
	for _, m := range []ocpi.ModuleID{"cdrs", "sessions", "tokens", "locations", "tariffs"} {
		p.Endpoints = append(p.Endpoints, ocpi.Endpoint{Identifier: m, Role: ocpi.Sender, URL: base + "/" + string(m)})
	}
	if change != nil {
		change(&p)
	}
	h.directory.Apply(p, h.revision)
}

// change saves a platform anew.
func (h *gatherHub) change(name string, change func(*parties.Platform)) {
	h.revision++
	p := h.directory.Snapshot().Platform(parties.PlatformID(name)).Platform.Clone()
	p.Revision = h.revision
	change(&p)
	h.directory.Apply(p, h.revision)
}

// answeredList is an answer to GET All, as far as tests look at it.
type answeredList struct {
	ids    []string
	status ocpi.StatusCode
	says   string
	// total, limit and next are the paging headers; next is the query of the
	// Link.
	total, limit, next string
	message            Message
}

// get asks as platform drivers for all of a module.
func (h *gatherHub) get(module, query string) answeredList {
	return h.getAs("drivers", "DEMSP", module, query)
}

func (h *gatherHub) getAs(platform, from, module, query string) answeredList {
	h.t.Helper()
	req := &ocpi.Request{
		Method: "GET", Version: ocpi.V221, Module: ocpi.ModuleID(module), Interface: ocpi.Sender, Query: query,
		From: ocpi.AddressOf(party(h.t, from)), To: ocpi.AddressOf(party(h.t, "EUBUS")), CorrelationID: "c-1", RequestID: "r-1",
	}
	if refusal := TakeCarried(req); refusal != nil {
		h.t.Fatal(refusal)
	}
	var l answeredList
	reply := h.router.list(h.t.Context(), h.directory.Snapshot().Platform(parties.PlatformID(platform)), req, &l.message)
	defer reply.Release()
	var body struct {
		Data    []struct{ ID string }
		Code    ocpi.StatusCode `json:"status_code"`
		Message string          `json:"status_message"`
		Time    string          `json:"timestamp"`
	}
	if err := json.Unmarshal(reply.Body, &body); err != nil {
		h.t.Fatalf("%v in %s", err, reply.Body)
	}
	if body.Code != reply.Status || reply.From.Party != party(h.t, "EUBUS") || reply.To != req.From || body.Time == "" || reply.HTTP != 200 {
		h.t.Errorf("answer %d from %s to %s: %s", reply.Status, reply.From.Party, reply.To.Party, reply.Body)
	}
	for _, o := range body.Data {
		l.ids = append(l.ids, o.ID)
	}
	l.status, l.says = body.Code, body.Message
	for _, header := range reply.Headers {
		switch header.Name {
		case "X-Total-Count":
			l.total = header.Value
		case "X-Limit":
			l.limit = header.Value
		case "Link":
			next, _ := nextLink(header.Value)
			u, err := url.Parse(next)
			if err != nil || !strings.HasPrefix(next, "https://hub.test/ocpi/2.2.1/sender/"+module+"?") || u.Query().Get("busbar_to") != "EUBUS" {
				h.t.Errorf("Link %s: %v", header.Value, err)
			}
			l.next = u.RawQuery
		}
	}
	return l
}

// walk follows the links from a query to the end and returns what each page
// held, like "AACPO-0 AACPO-1", and the first page's total.
func (h *gatherHub) walk(module, query string) (pages []string, total string) {
	h.t.Helper()
	for range 100 {
		l := h.get(module, query)
		if l.status != 1000 {
			h.t.Fatalf("%s: %d %s", query, l.status, l.says)
		}
		pages = append(pages, strings.Join(l.ids, " "))
		if len(pages) == 1 {
			total = l.total
		} else if l.total != total {
			h.t.Errorf("total %s became %s", total, l.total)
		}
		if l.limit != "100" {
			h.t.Errorf("X-Limit %s", l.limit)
		}
		if query = l.next; query == "" {
			return pages, total
		}
	}
	h.t.Fatal("the list does not end")
	return nil, ""
}
