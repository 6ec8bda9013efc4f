package routing

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"busbar/catalog"
	"busbar/ocpi"
	"busbar/ocpi/peer"
	"busbar/parties"
)

// recordingStore stands in for the catalog, and for the log of broadcasts.
type recordingStore struct {
	mu         sync.Mutex
	documents  map[catalog.Key]string
	writes     []catalog.Write
	broadcasts []*Broadcast
	// refuse may answer for a write.
	refuse func(catalog.Write) error
	// counted is when it was asked for counts.
	counted  []time.Time
	unloaded bool
	appended chan struct{}
}

// keeps makes a recordingStore with one object of each owner, like "NLCPA tariffs".
func keeps(t *testing.T, owners ...string) *recordingStore {
	s := &recordingStore{documents: make(map[catalog.Key]string), appended: make(chan struct{}, 1000)}
	for _, owner := range owners {
		name, module, _ := strings.Cut(owner, " ")
		s.documents[catalog.Key{Module: ocpi.ModuleID(module), Owner: party(t, name), ID: "old"}] = `{"last_updated":"2026-01-01T00:00:00Z"}`
	}
	return s
}

func (s *recordingStore) keeping() keeping {
	return keeping{loaded: s.loaded, counts: s.counts, apply: s.apply}
}

func (s *recordingStore) loaded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.unloaded
}

func (s *recordingStore) counts() []catalog.Count {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counted = append(s.counted, time.Now())
	var counts []catalog.Count
	for key := range s.documents {
		counts = append(counts, catalog.Count{Owner: key.Owner, Module: key.Module, Objects: 1})
	}
	return counts
}

func (s *recordingStore) apply(_ context.Context, w catalog.Write) (catalog.Applied, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		if err := s.refuse(w); err != nil {
			return catalog.Applied{}, err
		}
	}
	key := catalog.Key{Module: w.Module, Owner: w.Owner, ID: strings.ToLower(w.ID)}
	old, had := s.documents[key]
	if w.IfNotOlder && had && lastUpdated(old).After(lastUpdated(string(w.Body))) {
		w.Then(catalog.Applied{Key: key, Older: true})
		return catalog.Applied{Key: key, Older: true}, nil
	}
	applied := catalog.Applied{Key: key, Created: !had, Changed: old != string(w.Body)}
	s.documents[key] = string(w.Body)
	s.writes = append(s.writes, w)
	w.Then(applied)
	return applied, nil
}

func lastUpdated(object string) time.Time {
	var o struct {
		LastUpdated time.Time `json:"last_updated"`
	}
	_ = json.Unmarshal([]byte(object), &o)
	return o.LastUpdated
}

// Append implements BroadcastLog.
func (s *recordingStore) Append(b *Broadcast, _ func()) (taken <-chan struct{}) {
	s.broadcasts = append(s.broadcasts, b) // under the lock of apply
	s.appended <- struct{}{}
	return nil
}

func (s *recordingStore) Run(context.Context, func(Handed)) {}

func (s *recordingStore) CutShort() {}

// newPuller makes a Puller of the hub's directory on the recordingStore. What it logs
// goes to the buffer.
func newPuller(t *testing.T, d *parties.Directory, s *recordingStore) (*Puller, *bytes.Buffer) {
	var logged bytes.Buffer
	p := NewPuller(PullerConfig{
		Directory: d, Hub: parties.Identity{Party: party(t, "EUBUS")}, Outbox: newOutbox(s, newOutboxRecord()), Timeout: 10 * time.Second,
		Logger: slog.New(slog.NewTextHandler(&logged, nil)),
	})
	p.keep = s.keeping()
	return p, &logged
}

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// object is a Location or Tariff of a party.
func object(owner, id, rest string) string {
	return fmt.Sprintf(`{"country_code":"%s","party_id":"%s","id":"%s","last_updated":"2026-01-31T12:00:00Z"%s}`, owner[:2], owner[2:], id, rest)
}

// serves makes a party that answers every list with these objects.
func serves(party string, objects ...string) *lister {
	return &lister{party: party, answer: func(w http.ResponseWriter, _ *http.Request) bool {
		fmt.Fprintf(w, `{"status_code":1000,"data":[%s]}`, strings.Join(objects, ","))
		return true
	}}
}

func TestO2_APullTakesInWhatWasMissed(t *testing.T) {
	t.Parallel()
	l := serves("NLCPA", object("NLCPA", "L 1/ä", `,"kwh":1.50`), object("nlcpa", "L2", ""), object("NLCPA", "KEPT", ""))
	h := newGatherHub(t, l)
	h.change("NLCPA", func(p *parties.Platform) {
		p.Roles[0].BusinessDetails = []byte(`{"name":"A"}`)
		p.Endpoints = p.Endpoints[3:4] // locations
	})
	s := keeps(t, "NLCPA locations")
	s.documents[catalog.Key{Module: "locations", Owner: party(t, "NLCPA"), ID: "kept"}] = object("NLCPA", "KEPT", "")
	p, logged := newPuller(t, h.directory, s)
	e := h.directory.Snapshot().Platform("NLCPA")
	if err := p.pull(t.Context(), e, noon); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"date_from=2026-01-31T11%3A59%3A00.000Z&limit=100"}, l.calls()); diff != "" {
		t.Errorf("asked:\n%s", diff)
	}
	header := l.asked[0].Header
	if from, to := header.Get("OCPI-from-country-code")+header.Get("OCPI-from-party-id"), header.Get("OCPI-to-party-id"); from != "EUBUS" || to != "CPA" {
		t.Errorf("asked from %s to %s", from, to)
	}
	for _, w := range s.writes {
		if w.Method != "PUT" || w.Module != "locations" || w.Owner != party(t, "NLCPA") || string(w.Operator) != `{"name":"A"}` || w.EVSE != "" || w.Received.IsZero() {
			t.Errorf("applied %+v", w)
		}
	}
	if len(s.writes) != 3 || len(s.broadcasts) != 2 {
		t.Fatalf("%d writes, %d broadcasts", len(s.writes), len(s.broadcasts))
	}
	slices.SortFunc(s.broadcasts, func(a, b *Broadcast) int { return strings.Compare(a.Path, b.Path) })
	b := s.broadcasts[0]
	want := &Broadcast{
		Object: "locations/NLCPA/l 1/ä", Owner: party(t, "NLCPA"), From: party(t, "NLCPA"), Platform: "NLCPA", Accepted: b.Accepted,
		CorrelationID: header.Get("X-Correlation-ID"), Method: "PUT", Version: ocpi.V221, Module: "locations",
		Path: "/NL/CPA/L%201%2F%C3%A4", Body: []byte(object("NLCPA", "L 1/ä", `,"kwh":1.50`)),
	}
	if diff := cmp.Diff(want, b); diff != "" || b.Accepted.IsZero() {
		t.Error(diff)
	}
	for _, says := range []string{"level=INFO msg=pulled", "pages=1 objects=3 changed=2", "foreign=0 bad=0"} {
		if !strings.Contains(logged.String(), says) {
			t.Errorf("logged %s, want %s", logged, says)
		}
	}
}

func TestO2_APullFollowsLinks(t *testing.T) {
	t.Parallel()
	l := &lister{party: "NLCPA"}
	l.answer = func(w http.ResponseWriter, r *http.Request) bool {
		n := r.URL.Query().Get("page")
		if n == "" {
			w.Header().Set("Link", `<https://proxy.test/tariffs?page=2>; rel="next"`)
		}
		fmt.Fprintf(w, `{"status_code":1000,"data":[%s]}`, object("NLCPA", "T"+n, ""))
		return true
	}
	h := newGatherHub(t, l)
	s := keeps(t, "NLCPA tariffs")
	p, _ := newPuller(t, h.directory, s)
	if err := p.pull(t.Context(), h.directory.Snapshot().Platform("NLCPA"), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"limit=100", "page=2"}, l.calls()); diff != "" || len(s.writes) != 2 {
		t.Errorf("%d writes\n%s", len(s.writes), diff)
	}
	if s.writes[0].Operator != nil {
		t.Error("a Tariff has no operator")
	}
}

func TestR5_OnlyWhatIsBroadcastIsPulled(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name         string
		role         string
		kept         []string
		newPlatforms bool
		since        time.Time
		asked        int
	}{
		{"a party that broadcasts nothing", "CPO", nil, false, noon, 0},
		{"everything of such a party", "CPO", nil, false, time.Time{}, 0},
		{"another party's objects", "CPO", []string{"NLXXX locations"}, false, noon, 0},
		{"one module", "CPO", []string{"NLCPA tariffs"}, false, noon, 1},
		{"both modules", "CPO", []string{"NLCPA tariffs", "NLCPA locations"}, false, noon, 2},
		{"a new platform", "CPO", nil, true, time.Time{}, 2},
		{"a NAP", "NAP", nil, true, time.Time{}, 2},
		{"a platform that was away", "CPO", nil, true, noon, 0},
		{"an eMSP", "EMSP", nil, true, time.Time{}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := serves("NLCPA")
			l.role = test.role
			h := newGatherHub(t, l)
			p, _ := newPuller(t, h.directory, keeps(t, test.kept...))
			p.cfg.NewPlatforms = test.newPlatforms
			if err := p.pull(t.Context(), h.directory.Snapshot().Platform("NLCPA"), test.since); err != nil || len(l.asked) != test.asked {
				t.Errorf("asked %d times, %v; want %d", len(l.asked), err, test.asked)
			}
		})
	}
}

func TestE3_WhatAPullLeavesOut(t *testing.T) {
	t.Parallel()
	newer := strings.Replace(object("NLCPA", "N", ""), "12:00:00", "12:00:00.001", 1)
	for _, test := range []struct {
		name, objects, counts string
		writes                []string
	}{
		{"a foreign owner", object("NLCPB", "F", ""), "objects=0 changed=0 older=0 foreign=1 bad=0", nil},
		{"objects that are none", `1, null, {}, {"country_code":"NL","party_id":"CPA","id":7},` + object("NLCPA", "", ""),
			"objects=0 changed=0 older=0 foreign=0 bad=5", nil},
		{"one that the catalog refuses", object("NLCPA", "BAD", "") + "," + object("NLCPA", "G", ""), "objects=2 changed=1 older=0 foreign=0 bad=1", []string{"G"}},
		{"an older state than the one kept", object("NLCPA", "N", ""), "objects=1 changed=0 older=1 foreign=0 bad=0", nil},
		{"the first of two with one id", object("NLCPA", "D", "") + "," + object("NLCPA", "d", `,"x":2`), "objects=1 changed=1 older=0 foreign=0 bad=0", []string{"d"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := serves("NLCPA", test.objects)
			h := newGatherHub(t, l)
			s := keeps(t, "NLCPA locations")
			s.documents[catalog.Key{Module: "locations", Owner: party(t, "NLCPA"), ID: "n"}] = newer
			s.refuse = func(w catalog.Write) error {
				if w.ID == "BAD" {
					return ocpi.Errorf(ocpi.InvalidParameters, "field evses: must be a list")
				}
				return nil
			}
			p, logged := newPuller(t, h.directory, s)
			if err := p.pull(t.Context(), h.directory.Snapshot().Platform("NLCPA"), noon); err != nil {
				t.Fatal(err)
			}
			var writes []string
			for _, w := range s.writes {
				writes = append(writes, w.ID)
			}
			if diff := cmp.Diff(test.writes, writes); diff != "" || !strings.Contains(logged.String(), test.counts) {
				t.Errorf("logged %s\n%s", logged, diff)
			}
			warnings := strings.Count(logged.String(), "level=WARN")
			if bad := !strings.Contains(test.counts, "bad=0"); bad && warnings != 1 || !bad && warnings != 0 {
				t.Errorf("%d warnings in %s", warnings, logged)
			}
		})
	}
}

func TestAPullFails(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		lister *lister
		change func(*recordingStore)
		says   string
	}{
		{"a party that refuses", &lister{party: "NLCPA", answer: answers(200, `{"status_code":3000}`).answer}, nil,
			"locations of NLCPA: NLCPA refused to give its locations: OCPI status 3000"},
		{"the catalog", serves("NLCPA", object("NLCPA", "L1", "")), func(s *recordingStore) {
			s.refuse = func(catalog.Write) error { return ocpi.Errorf(ocpi.HubError, "no record") }
		}, "no record"},
		{"a list without an end", &lister{party: "NLCPA", objects: 9, link: func(string) string { return "?limit=100" }}, nil, "the same page"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.lister.most = 1
			h := newGatherHub(t, test.lister)
			s := keeps(t, "NLCPA locations")
			if test.change != nil {
				test.change(s)
			}
			p, logged := newPuller(t, h.directory, s)
			err := p.pull(t.Context(), h.directory.Snapshot().Platform("NLCPA"), noon)
			if err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(logged.String(), "msg=pulled") {
				t.Errorf("%v, logged %s", err, logged)
			}
		})
	}
}

func TestO2_RefreshLeadsToAPull(t *testing.T) {
	t.Parallel()
	h := newGatherHub(t, serves("NLCPA", object("NLCPA", "L1", "")))
	s := keeps(t, "NLCPA locations")
	p, _ := newPuller(t, h.directory, s)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { p.Run(ctx) })
	p.Refresh("NLCPA", noon)
	<-s.appended
	cancel()
	running.Wait()
}

// awayPuller is a Puller of a platform that is OFFLINE, so that every pull
// fails without a call.
func awayPuller(t *testing.T) (*Puller, *recordingStore, *parties.Directory) {
	d := parties.NewDirectory(peer.NewDialer(peer.DialerConfig{}))
	d.Apply(parties.Platform{
		ID: "away", Status: ocpi.Offline, Version: ocpi.V221, Revision: 1,
		Roles:     []ocpi.CredentialsRole{{PartyRole: role(t, "NLCPA", ocpi.RoleCPO)}},
		Endpoints: []ocpi.Endpoint{{Identifier: "locations", Role: ocpi.Sender, URL: "https://away.test/"}},
	}, 1)
	s := keeps(t, "NLCPA locations")
	p, _ := newPuller(t, d, s)
	return p, s, d
}

func TestAPullIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, s, d := awayPuller(t)
		ctx, cancel := context.WithCancel(t.Context())
		go p.Run(ctx)
		begin := time.Now()
		pulls := func() (after []time.Duration) {
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, at := range s.counted {
				after = append(after, at.Sub(begin))
			}
			return after
		}
		remembered := func() (pullOrder, int) {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.asked["away"], len(p.asked)
		}
		s.unloaded = true
		p.Refresh("away", noon)
		p.Refresh("nobody", noon)
		time.Sleep(7 * time.Second)
		s.mu.Lock()
		s.unloaded = false
		s.mu.Unlock()
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		const first = 10 * time.Second
		want := []time.Duration{first, first + time.Minute, first + 6*time.Minute, first + 21*time.Minute}
		if diff := cmp.Diff(want, pulls()); diff != "" {
			t.Errorf("pulled after:\n%s", diff)
		}
		if o, _ := remembered(); !o.since.Equal(noon) || !o.due.IsZero() {
			t.Errorf("given up, remembers %+v", o)
		}
		// Back, and away again: what was missed the first time is still missed.
		p.Refresh("away", noon.Add(time.Hour))
		synctest.Wait()
		if o, _ := remembered(); len(pulls()) != 5 || !o.since.Equal(noon) || o.failures != 1 {
			t.Errorf("%d pulls, then %+v", len(pulls()), o)
		}
		d.Remove("away", 2)
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if _, waiting := remembered(); len(pulls()) != 5 || waiting != 0 {
			t.Errorf("%d pulls of a platform that is gone, %d wait", len(pulls()), waiting)
		}
		cancel()
		synctest.Wait()
	})
}

func TestOrdersForOnePlatformAreOne(t *testing.T) {
	t.Parallel()
	p, _, _ := awayPuller(t)
	now := time.Now()
	for _, test := range []struct {
		name          string
		first, second pullOrder
		want          pullOrder
	}{
		{"the earlier since", pullOrder{since: noon, due: now}, pullOrder{since: noon.Add(1), due: now}, pullOrder{since: noon, due: now}},
		{"in either order", pullOrder{since: noon.Add(1), due: now}, pullOrder{since: noon, due: now}, pullOrder{since: noon, due: now}},
		{"everything", pullOrder{due: now}, pullOrder{since: noon, due: now}, pullOrder{due: now}},
		{"at once instead of again later", pullOrder{since: noon, due: now.Add(time.Minute), failures: 2}, pullOrder{since: noon, due: now}, pullOrder{since: noon, due: now}},
		{"again later when it is asked for at once", pullOrder{since: noon, due: now}, pullOrder{since: noon, due: now.Add(time.Minute), failures: 2}, pullOrder{since: noon, due: now}},
		{"after it was given up", pullOrder{since: noon}, pullOrder{since: noon.Add(1), due: now}, pullOrder{since: noon, due: now}},
	} {
		clear(p.asked)
		p.order("x", test.first)
		p.order("x", test.second)
		if got := p.asked["x"]; got != test.want || len(p.asked) != 1 {
			t.Errorf("%s: %+v", test.name, got)
		}
	}
}

func TestPullsAtOnceAreBounded(t *testing.T) {
	t.Parallel()
	p, _, _ := awayPuller(t)
	now := time.Now()
	for i := range pullsAtOnce + 2 {
		p.order(parties.PlatformID(fmt.Sprint(i)), pullOrder{due: now.Add(time.Duration(i) - time.Hour)})
	}
	for i := range pullsAtOnce {
		if id, _, wait := p.next(now); string(id) != fmt.Sprint(i) || wait != 0 {
			t.Errorf("%d: %s, wait %v", i, id, wait)
		}
	}
	if id, _, wait := p.next(now); id != "" || wait == 0 {
		t.Errorf("one more: %s", id)
	}
	delete(p.running, "0")
	p.order("1", pullOrder{due: now.Add(-2 * time.Hour)}) // is running
	if id, _, _ := p.next(now); string(id) != fmt.Sprint(pullsAtOnce) {
		t.Errorf("got %s", id)
	}
}
