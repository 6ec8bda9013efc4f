package routing

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"busbar/ocpi"
)

// keptParcels are the Token pushes that a record keeps: all that were accepted, and which
// of them have ended. It tells what is later one at a time.
type keptParcels struct {
	mu       sync.Mutex
	accepted []*Broadcast
	ended    map[int64]bool
	// fault is called before each answer, if it is set.
	fault func(context.Context) error
}

// parcelsOf keeps a push with number 1, once asking for it works.
func parcelsOf(fault func(context.Context) error) *keptParcels {
	return &keptParcels{accepted: []*Broadcast{{Parcel: 1}}, fault: fault}
}

func (k *keptParcels) Later(ctx context.Context, b *Broadcast, behind int64) (later []*Broadcast, open bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fault != nil {
		err = k.fault(ctx)
	}
	olderOpen := false
	for _, other := range k.accepted {
		olderOpen = olderOpen || !k.ended[other.Parcel]
		open = open || other.Parcel == b.Parcel && !k.ended[b.Parcel]
		// What has ended is forgotten, unless an older one is open.
		if olderOpen && other.Parcel > behind && len(later) == 0 && other.Token() == b.Token() {
			later = append(later, other)
		}
	}
	return later, open, err
}

func (k *keptParcels) LastParcel(context.Context) (last int64, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, b := range k.accepted {
		last = max(last, b.Parcel)
	}
	return last, nil
}

// token is a push of a Token whose members have the parcel as their value; a PUT
// has a, b and c.
func token(parcel int64, method string, members ...string) *Broadcast {
	if method == "PUT" {
		members = []string{"a", "b", "c"}
	}
	var body strings.Builder
	for _, m := range members {
		fmt.Fprintf(&body, `,%q:%d`, m, parcel)
	}
	return &Broadcast{
		Object: "tokens/NLCPA/t1", Module: ocpi.ModuleTokens, Method: method, Path: "/NL/CPA/T1",
		Body: []byte("{" + body.String()[1:] + "}"), Parcel: parcel,
	}
}

// TestR3_ATokenThatComesAgainComesInOneWithWhatIsBehindIt: a receiver may have had
// any of them. The later ones are left out when they come.
func TestR3_ATokenThatComesAgainComesInOneWithWhatIsBehindIt(t *testing.T) {
	t.Parallel()
	put, patch := "PUT", "PATCH"
	accepted := []*Broadcast{
		token(1, put), token(2, patch, "a"), token(3, patch, "a", "d"), token(4, patch, "b"),
		token(5, put), token(6, patch, "c"),
	}
	appUser := *accepted[3]
	appUser.Query = "type=app_user"
	fresh := func(parcel int) Handed { return Handed{Broadcast: accepted[parcel-1]} }
	again := func(parcel int) Handed { return Handed{Broadcast: accepted[parcel-1], Again: true} }
	adopted := func(parcel int) Handed {
		b := *accepted[parcel-1]
		b.Present = true
		return Handed{Broadcast: &b}
	}
	const (
		three = `PATCH {"a":3,"d":3}`
		twos  = three
	)
	for name, test := range map[string]struct {
		accepted int // how many
		ended    []int64
		handed   []Handed
		want     []string
	}{
		"fresh ones":                           {3, nil, []Handed{fresh(1), fresh(2), fresh(3)}, []string{`PUT {"a":1,"b":1,"c":1}`, `PATCH {"a":2}`, three}},
		"one that comes again, behind nothing": {1, nil, []Handed{again(1)}, []string{`PUT {"a":1,"b":1,"c":1}`}},
		"a PUT that comes again":               {3, nil, []Handed{again(1), again(2), fresh(3)}, []string{`PUT {"a":3,"b":1,"c":1,"d":3}`}},
		"a PATCH that comes again":             {3, nil, []Handed{again(2), again(3)}, []string{twos}},
		"one that was adopted":                 {3, nil, []Handed{adopted(1), adopted(2), adopted(3)}, []string{`PUT {"a":3,"b":1,"c":1,"d":3}`}},
		"one whose later ones have ended":      {3, []int64{2, 3}, []Handed{again(1)}, []string{`PUT {"a":3,"b":1,"c":1,"d":3}`}},
		"a PATCH before a PUT":                 {6, nil, []Handed{again(4), again(5), again(6)}, []string{`PUT {"a":5,"b":5,"c":6}`}},
		"one that comes behind a newer":        {3, nil, []Handed{fresh(3), again(2)}, []string{three, twos}},
		"one that has ended":                   {3, []int64{2}, []Handed{again(2)}, nil},
		"an older one behind those that were sent with a newer": {4, nil, []Handed{again(3), again(2), fresh(4)}, []string{
			`PATCH {"a":3,"b":4,"d":3}`, `PATCH {"a":3,"b":4,"d":3}`,
		}},
		"what is accepted afterwards": {6, nil, []Handed{again(1), fresh(6), {Broadcast: token(7, patch, "a")}}, []string{
			`PUT {"a":5,"b":5,"c":6}`, `PATCH {"a":7}`,
		}},
		"another Token, of the same uid": {3, nil, []Handed{again(1), {Broadcast: &appUser}}, []string{
			`PUT {"a":3,"b":1,"c":1,"d":3}`, `PATCH {"b":4}`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, _ := catching(t, nil)
			record := &keptParcels{accepted: accepted[:test.accepted], ended: map[int64]bool{}}
			for _, parcel := range test.ended {
				record.ended[parcel] = true
			}
			f.cfg.Parcels = record
			var got []string
			ended := 0
			f.cfg.Receivers = func(b *Broadcast) []Leg {
				if b.Method != "" {
					got = append(got, b.Method+" "+inOrder(t, b.Body))
				}
				return nil
			}
			for _, h := range test.handed {
				h.Done = func() { ended++ }
				f.Deliver(h)
			}
			if !slices.Equal(got, test.want) || ended != len(test.handed) {
				t.Errorf("sent %q, want %q; %d of %d ended", got, test.want, ended, len(test.handed))
			}
		})
	}
}

// inOrder is a JSON object with its members sorted.
func inOrder(t *testing.T, body []byte) string {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal(body, &members); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What is sent in one is on the receipt of the oldest: the record keeps the others
// until that has ended.
func TestR3_ATokenThatComesAgainEndsWithItsLastLeg(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	st, release := s.hanging("a", "NLAAA")
	put, patch := token(1, "PUT"), token(2, "PATCH", "a")
	s.fanout.cfg.Parcels = &keptParcels{accepted: []*Broadcast{put, patch}}
	ended, later := make(chan struct{}), make(chan struct{})
	s.fanout.Deliver(Handed{Broadcast: put, Again: true, Done: func() { close(ended) }})
	s.fanout.Deliver(Handed{Broadcast: patch, Again: true, Done: func() { close(later) }})
	receive(t, later)
	if legs := receive(t, s.ended.legs); legs.Superseded != 1 || legs.Method != "PATCH" {
		t.Errorf("the journal has %+v", legs)
	}
	receive(t, st.got)
	nothingIn(t, ended)
	release()
	receive(t, ended)
	if legs := receive(t, s.ended.legs); legs.OK != 1 || legs.Method != "PUT" {
		t.Errorf("the journal has %+v", legs)
	}
}

// tokenStream is one partition of a shared log, in which one Token's pushes stand,
// and the lanes of whichever replica works it, to two receivers.
type tokenStream struct {
	fanout *Fanout
	record *keptParcels
	// waiting were accepted by one of two replicas, and are not yet in the stream.
	waiting [2][]*Broadcast
	entries []*tokenEntry
	highest int64 // that is in the stream
	tenure  *Tenure
	// sent is what the Fanout would send for the entry that it is given.
	sent  *Broadcast
	lanes [2][]tokenLeg
	has   [2]map[string]int64
}

type tokenEntry struct {
	*Broadcast
	late, taken, done bool
	by                *Tenure // who took it last
	legs              int     // that have not ended
}

type tokenLeg struct {
	of   *tokenEntry
	sent *Broadcast
}

// TestR3_OfATokenNoReceiverGoesBack: whichever replicas accept, append and die in
// whatever order, no member of the Token goes back at any receiver, and in the end
// all have its last state.
func TestR3_OfATokenNoReceiverGoesBack(t *testing.T) {
	t.Parallel()
	f, _ := catching(t, nil)
	f.cfg.Journals = nil
	rapid.Check(t, func(t *rapid.T) {
		s := &tokenStream{
			fanout: f, record: &keptParcels{ended: map[int64]bool{}}, tenure: new(Tenure), has: [2]map[string]int64{{}, {}},
		}
		f.cfg.Parcels = s.record
		f.cfg.Receivers = func(b *Broadcast) []Leg {
			if b.Method != "" {
				s.sent = b
			}
			return nil
		}
		t.Repeat(map[string]func(*rapid.T){
			"accept":  s.accept,
			"append":  func(t *rapid.T) { s.append(rapid.IntRange(0, 1).Draw(t, "replica")) },
			"hand":    func(t *rapid.T) { s.hand(t) },
			"receive": func(t *rapid.T) { s.receive(t, rapid.IntRange(0, 1).Draw(t, "receiver")) },
			"die":     func(*rapid.T) { s.tenure, s.lanes = new(Tenure), [2][]tokenLeg{} },
			"note": func(t *rapid.T) { // that one has ended
				if e := s.ended(t); e != nil {
					s.record.ended[e.Parcel] = true
				}
			},
			"fall back": func(t *rapid.T) { // to a server that did not hear that one has ended
				if e := s.ended(t); e != nil {
					e.done, e.by = false, nil
				}
			},
		})
		s.finish(t)
	})
}

// ended is any entry that has ended, or none.
func (s *tokenStream) ended(t *rapid.T) *tokenEntry {
	i := rapid.IntRange(0, len(s.entries)).Draw(t, "entry")
	if i == len(s.entries) || !s.entries[i].done {
		return nil
	}
	return s.entries[i]
}

func (s *tokenStream) accept(t *rapid.T) {
	method := rapid.SampledFrom([]string{"PUT", "PATCH", "PATCH", "PATCH"}).Draw(t, "method")
	member := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "member")
	replica := rapid.IntRange(0, 1).Draw(t, "replica")
	b := token(int64(len(s.record.accepted)+1), method, member)
	s.record.accepted = append(s.record.accepted, b)
	s.waiting[replica] = append(s.waiting[replica], b)
}

// append puts what a replica has accepted into the stream.
func (s *tokenStream) append(replica int) {
	for _, b := range s.waiting[replica] {
		s.entries = append(s.entries, &tokenEntry{Broadcast: b, late: b.Parcel < s.highest})
		s.highest = max(s.highest, b.Parcel)
	}
	s.waiting[replica] = nil
}

// hand gives the replica that works the stream its next entry; it is false when
// there is none.
func (s *tokenStream) hand(t *rapid.T) bool {
	i := slices.IndexFunc(s.entries, func(e *tokenEntry) bool { return !e.done && e.by != s.tenure })
	if i < 0 {
		return false
	}
	e, done := s.entries[i], false
	s.sent = nil
	s.fanout.Deliver(Handed{
		Broadcast: e.Broadcast, Again: e.late || e.taken, Newest: s.highest, Tenure: s.tenure,
		Held: func() bool { return true }, Done: func() { done = true },
	})
	if !done {
		t.Fatalf("parcel %d has not ended", e.Parcel)
	}
	e.taken, e.by = true, s.tenure
	if e.done = s.sent == nil; !e.done {
		e.legs = len(s.lanes)
		for i := range s.lanes {
			s.lanes[i] = append(s.lanes[i], tokenLeg{e, s.sent})
		}
	}
	return true
}

// receive lets a receiver have what waits for it longest.
func (s *tokenStream) receive(t *rapid.T, receiver int) bool {
	if len(s.lanes[receiver]) == 0 {
		return false
	}
	g, has := s.lanes[receiver][0], s.has[receiver]
	s.lanes[receiver] = s.lanes[receiver][1:]
	for member, value := range membersOf(t, g.sent) {
		if value < has[member] {
			t.Fatalf("receiver %d goes back from %s %d by %s %s", receiver, member, has[member], g.sent.Method, g.sent.Body)
		}
		has[member] = value
	}
	g.of.legs--
	g.of.done = g.of.legs == 0
	return true
}

// finish lets everything arrive, and holds that both receivers have the last state.
func (s *tokenStream) finish(t *rapid.T) {
	s.append(0)
	s.append(1)
	for s.hand(t) {
	}
	want := map[string]int64{}
	for _, b := range s.record.accepted {
		maps.Copy(want, membersOf(t, b))
	}
	for i, has := range s.has {
		for s.receive(t, i) {
		}
		if !maps.Equal(has, want) {
			t.Fatalf("receiver %d has %v, want %v", i, has, want)
		}
	}
}

func membersOf(t *rapid.T, b *Broadcast) (members map[string]int64) {
	if err := json.Unmarshal(b.Body, &members); err != nil {
		t.Fatal(err)
	}
	return members
}
