package routing

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busbar/ocpi"
	"busbar/ocpi/peer"
	"busbar/parties"
)

// pushOf reads "PATCH /L1/3256 status,last_updated": a push of the party's
// object with these members.
func pushOf(t *testing.T, words string) *delivery {
	t.Helper()
	method, rest, _ := strings.Cut(words, " ")
	url, members, _ := strings.Cut(rest, " ")
	path, query, _ := strings.Cut(url, "?")
	b := &Broadcast{Object: "locations/NLCPA/l1", Method: method, Path: path, Query: query}
	var fields []string
	for _, member := range strings.FieldsFunc(members, func(c rune) bool { return c == ',' }) {
		fields = append(fields, `"`+member+`":[{"status":1}]`)
	}
	if b.Body = []byte("{" + strings.Join(fields, ",") + "}"); method == "DELETE" {
		b.Body = nil
	}
	return &delivery{Broadcast: b, counters: newLegMetrics(nil, nil).of(ocpi.ModuleLocations)}
}

// waitingOf are the bodies that wait for an object's turn, in their order.
func (l *lane) waitingOf(key objectKey) []string {
	var words []string
	if c := l.objects[key]; c != nil {
		for g := c.first; g != nil; g = g.next {
			words = append(words, string(g.of.Body))
		}
	}
	return words
}

func TestWhatANewerPushMakesPointlessIsNotSent(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		pushes []string
		remain []int
	}{
		{"a PUT, a newer PUT", []string{"PUT /L1 a", "PUT /L1 b"}, []int{1}},
		{"a PATCH, a PUT", []string{"PATCH /L1 a", "PUT /L1 b"}, []int{1}},
		{"a PUT, a PATCH: the rest of the object is in the PUT", []string{"PUT /L1 a,b", "PATCH /L1 a"}, []int{0, 1}},
		{"a PATCH of the same members", []string{"PATCH /L1/1 status,last_updated", "PATCH /L1/1 last_updated,status"}, []int{1}},
		{"a PATCH of more members", []string{"PATCH /L1/1 status", "PATCH /L1/1 status,last_updated"}, []int{1}},
		{"a PATCH of fewer members", []string{"PATCH /L1/1 status,last_updated", "PATCH /L1/1 status"}, []int{0, 1}},
		{"a PATCH of other members", []string{"PATCH /L1/1 status", "PATCH /L1/1 physical_reference"}, []int{0, 1}},
		{"a PATCH of a part, past others", []string{"PATCH /L1/1 a", "PATCH /L1/2 a", "PATCH /L1/1 b", "PATCH /L1/1 a"}, []int{1, 2, 3}},
		{"a PATCH covers several", []string{"PATCH /L1 a", "PATCH /L1 b", "PATCH /L1 a,b"}, []int{2}},
		{"a DELETE", []string{"PUT /L1 a", "PATCH /L1 b", "DELETE /L1"}, []int{2}},
		{"a second DELETE", []string{"DELETE /L1", "DELETE /L1"}, []int{1}},
		{"a PUT of what was deleted", []string{"PUT /L1 a", "DELETE /L1", "PUT /L1 a"}, []int{1, 2}},
		{"a PATCH of what was deleted", []string{"DELETE /L1", "PATCH /L1 a"}, []int{0, 1}},
		{"a POST is not repeated, nor replaced", []string{"POST /L1 a", "POST /L1 a", "PUT /L1 a"}, []int{0, 1, 2}},
		{"the Location leaves its EVSEs alone", []string{"PUT /L1/1 a", "PATCH /L1/1 a", "PUT /L1 a"}, []int{0, 1, 2}},
		{"the EVSE leaves its Location alone", []string{"PUT /L1 a", "PUT /L1/1 a", "DELETE /L1/1"}, []int{0, 2}},
		{"an EVSE does not arrive before its Location", []string{"PUT /L1 a", "PUT /L1/1 a", "PUT /L1 b"}, []int{0, 1, 2}},
		{"an EVSE after the second PUT needs only that", []string{"PUT /L1 a", "PUT /L1 b", "PUT /L1/1 a", "PATCH /L1 b"}, []int{1, 2, 3}},
		{"a connector does not arrive before its EVSE", []string{"PUT /L1/1 a", "PATCH /L1/1/2 a", "PUT /L1/1 b"}, []int{0, 1, 2}},
		{"the parts of another EVSE do not count", []string{"PUT /L1/1 a", "PUT /L1/12/1 a", "PUT /L1/1 b"}, []int{1, 2}},
		{"another query is another URL", []string{"PUT /T1?type=RFID a", "PUT /T1?type=APP_USER a", "PUT /T1 a"}, []int{0, 1, 2}},
		{"another spelling is another URL", []string{"PUT /L1 a", "PUT /l1 a"}, []int{0, 1}},
		{"escapes in member names", []string{`PATCH /L1 a`, `PATCH /L1 \u0061`}, []int{1}},
		{"three statuses in a row", []string{"PATCH /L1/1 s", "PATCH /L1/1 s", "PATCH /L1/1 s"}, []int{2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := newLane(&Fanout{}, "p", false)
			var given []string
			superseded, bytes := 0, 0
			for _, words := range test.pushes {
				d := pushOf(t, words)
				given = append(given, string(d.Body))
				for g := l.queue(&leg{of: d}); g != nil; g = g.next {
					if superseded++; g.outcome != OutcomeSuperseded {
						t.Errorf("a leg ended as %s", g.outcome)
					}
				}
			}
			var want []string
			for _, i := range test.remain {
				want = append(want, given[i])
				bytes += len(given[i])
			}
			if diff := cmp.Diff(want, l.waitingOf(objectKey{object: "locations/NLCPA/l1"})); diff != "" {
				t.Error(diff)
			}
			if l.queued != len(want) || l.bytes != bytes || superseded != len(given)-len(want) {
				t.Errorf("counts %d legs of %d bytes and %d superseded", l.queued, l.bytes, superseded)
			}
		})
	}
}

func TestPartiesOfOnePlatformDoNotSupersedeEachOther(t *testing.T) {
	t.Parallel()
	l := newLane(&Fanout{}, "p", false)
	for _, to := range []string{"DEAAA", "DEBBB", "DEAAA"} {
		l.queue(&leg{of: pushOf(t, "PUT /L1 a"), to: party(t, to)})
	}
	if l.queued != 2 || len(l.objects) != 2 {
		t.Errorf("%d legs of %d objects", l.queued, len(l.objects))
	}
}

// What came later and says that it is older takes nobody's place.
func TestLastUpdatedDecidesWhatIsNewer(t *testing.T) {
	t.Parallel()
	const early, late = `"2026-01-01T00:00:00Z"`, `"2026-01-01T00:00:00.001"`
	for _, test := range []struct {
		name, method, older, newer string
		supersedes                 bool
	}{
		{"a later PUT", "PUT", early, late, true},
		{"the same time", "PUT", late, late, true},
		{"an earlier PUT", "PUT", late, early, false},
		{"a later PATCH", "PATCH", early, late, true},
		{"an earlier PATCH", "PATCH", late, early, false},
		{"an offset", "PUT", early, `"2026-01-01T00:30:00+01:00"`, false},
		{"a time that cannot be read", "PUT", late, `"soon"`, true},
		{"a time behind one that cannot be read", "PUT", `null`, early, true},
	} {
		older, newer := pushOf(t, test.method+" /L1"), pushOf(t, test.method+" /L1")
		older.Body, newer.Body = []byte(`{"last_updated":`+test.older+`}`), []byte(`{"last_updated":`+test.newer+`}`)
		if got := newer.supersedes(older); got != test.supersedes {
			t.Errorf("%s: %v", test.name, got)
		}
	}
	deletion, put := pushOf(t, "DELETE /L1"), pushOf(t, "PUT /L1 a")
	put.Body = []byte(`{"last_updated":` + late + `}`)
	if !deletion.supersedes(put) {
		t.Error("a DELETE, which has no time, does not supersede a PUT")
	}
}

func TestAPatchThatIsNoObjectSupersedesNothing(t *testing.T) {
	t.Parallel()
	a, b := pushOf(t, "PATCH /L1 a"), pushOf(t, "PATCH /L1 a")
	b.Body = []byte("[]")
	if a.supersedes(b) || b.supersedes(a) {
		t.Error("it does")
	}
}

func TestBodiesThatWaitAreBounded(t *testing.T) {
	t.Parallel()
	l := newLane(&Fanout{}, "p", false)
	large := make([]byte, maxQueuedBytes/4+1)
	full := 0
	for _, object := range numbered("o%d", 5) {
		d := pushOf(t, "PUT /L1 a")
		d.Object, d.Body = object, large
		if g := l.queue(&leg{of: d}); g != nil && g.outcome == OutcomeOverflow {
			full++
		}
	}
	if full != 2 || l.queued != 3 || len(l.objects) != 3 || !l.overflowing {
		t.Errorf("%d found no room, %d wait", full, l.queued)
	}
	again := pushOf(t, "PUT /L1 a")
	again.Object, again.Body = "o1", large
	if g := l.queue(&leg{of: again}); g == nil || g.outcome != OutcomeSuperseded {
		t.Error("a newer one does not take an older one's room")
	}
	for range 2 {
		l.next()
	}
	if l.overflowing {
		t.Error("the episode does not end with the half of it")
	}
}

func TestBodiesOfAllLanesTogetherAreBounded(t *testing.T) {
	t.Parallel()
	f := &Fanout{}
	l := newLane(f, "p", false)
	push := func(object string) *leg {
		d := pushOf(t, "PUT /L1 a")
		d.Object = object
		return l.queue(&leg{of: d})
	}
	f.held.Store(maxHeldBytes + 1)
	if push("o1") != nil {
		t.Error("an empty lane has no room")
	}
	if g := push("o2"); g == nil || g.outcome != OutcomeOverflow {
		t.Error("a second one waits while the others hold too much")
	}
	f.held.Store(maxHeldBytes)
	if push("o3") != nil || l.queued != 2 {
		t.Error("there is room again, and nothing is queued")
	}
}

func TestABodyIsHeldUntilItsLastLegEnds(t *testing.T) {
	t.Parallel()
	f := NewFanout(FanoutConfig{})
	d := pushOf(t, "PUT /L1 a")
	d.fanout, d.Body = f, make([]byte, 100)
	d.left.Store(2)
	d.hold()
	for _, want := range []int64{100, 0} {
		if d.release(); f.held.Load() != want {
			t.Errorf("%d bytes are held, want %d", f.held.Load(), want)
		}
	}
}

func TestAnOlderStateStaysWhenTheNewerOneFindsNoRoom(t *testing.T) {
	t.Parallel()
	l := newLane(&Fanout{}, "p", false)
	push := func(object string, size int) *leg {
		d := pushOf(t, "PUT /L1 a")
		d.Object, d.Body = object, make([]byte, size)
		return l.queue(&leg{of: d})
	}
	push("full", maxQueuedBytes-100)
	push("o1", 100)
	if g := push("o1", 101); g == nil || g.outcome != OutcomeOverflow || l.queued != 2 || l.bytes != maxQueuedBytes {
		t.Errorf("the larger one ended as %v; %d legs of %d bytes wait", g, l.queued, l.bytes)
	}
	if got := l.waitingOf(objectKey{object: "o1"}); len(got) != 1 || len(got[0]) != 100 {
		t.Error("the older one does not wait any more")
	}
	if g := push("o1", 100); g == nil || g.outcome != OutcomeSuperseded || l.queued != 2 {
		t.Error("one of the same size does not take its place")
	}
}

func TestALaneIsNotClearedOfWhatCameAfterThePlatformWasBack(t *testing.T) {
	t.Parallel()
	d := parties.NewDirectory(peer.NewDialer(peer.DialerConfig{}))
	set := func(revision int64, status ocpi.ConnectionStatus) {
		d.Apply(platform("p", func(p *parties.Platform) { p.Status, p.Revision = status, revision }, role(t, "DEMSP", ocpi.RoleEMSP)), revision)
	}
	set(1, ocpi.Connected)
	l := newLane(&Fanout{cfg: FanoutConfig{Directory: d}}, "p", false)
	l.queue(&leg{of: pushOf(t, "PUT /L1 a")})
	l.clear() // by somebody who saw it OFFLINE a moment before
	if l.queued != 1 {
		t.Error("a leg to a platform that is CONNECTED was ended")
	}
}

// clientInfo is a push of a party's ClientInfo in one of its roles.
func clientInfo(t *testing.T, name string, r ocpi.Role) *leg {
	d := pushOf(t, "PUT /NL/CPA "+string(r))
	d.Owner, d.Object, d.announces = party(t, name), "hubclientinfo/"+name, r
	return &leg{of: d}
}

func objectOf(t *testing.T, name string) *leg {
	d := pushOf(t, "PUT /L1 a")
	d.Owner, d.Object = party(t, name), "locations/"+name+"/l1"
	return &leg{of: d, to: party(t, "DEAAA")}
}

func TestO5_ANewerClientInfoSupersedesTheOneOfTheSameRole(t *testing.T) {
	t.Parallel()
	l := newLane(&Fanout{}, "p", false)
	old, other, object := clientInfo(t, "NLCPA", ocpi.RoleCPO), clientInfo(t, "NLCPA", ocpi.RoleEMSP), objectOf(t, "NLCPA")
	newer := clientInfo(t, "NLCPA", ocpi.RoleCPO)
	for _, g := range []*leg{old, other, object} {
		if l.queue(g) != nil {
			t.Fatal("a leg ended")
		}
	}
	if l.queue(newer) != old || old.outcome != OutcomeSuperseded {
		t.Fatal("the older one was not superseded")
	}
	w := &worker{lane: l}
	l.crew = []*worker{w}
	if l.next() != other || l.next() != nil {
		t.Fatal("the object did not wait")
	}
	if l.turn(w, other) != newer || l.next() != nil {
		t.Fatal("the object did not wait for the newer one")
	}
	if l.turn(w, newer) != object {
		t.Error("the object waits on")
	}
}

func TestO5_AClientInfoThatFindsNoRoomHoldsNobodyBack(t *testing.T) {
	t.Parallel()
	l := newLane(&Fanout{}, "p", false)
	full := pushOf(t, "PUT /L1 a")
	full.Object, full.Body = "full", make([]byte, maxQueuedBytes)
	l.queue(&leg{of: full})
	if g := l.queue(clientInfo(t, "NLCPA", ocpi.RoleCPO)); g == nil || g.outcome != OutcomeOverflow || len(l.gates) != 0 {
		t.Errorf("it ended as %v, and %d gates are shut", g, len(l.gates))
	}
}

func TestO5_AnEmptiedLaneHoldsNobodyBack(t *testing.T) {
	t.Parallel()
	l := newLane(&Fanout{}, "p", false)
	l.queue(clientInfo(t, "NLCPA", ocpi.RoleCPO))
	flying := l.next()
	l.queue(clientInfo(t, "NLCPA", ocpi.RoleEMSP))
	l.queue(objectOf(t, "NLCPA"))
	if l.next() != nil {
		t.Fatal("the object did not wait")
	}
	n := 0
	for g := l.empty(OutcomeOffline); g != nil; g = g.next {
		n++
	}
	if n != 2 || l.queued != 0 || len(l.objects) != 1 || l.gates[party(t, "NLCPA")].pending != 1 {
		t.Errorf("%d ended, %d wait, %d objects", n, l.queued, len(l.objects))
	}
	w := &worker{lane: l}
	l.crew = []*worker{w}
	if l.turn(w, flying) != nil || len(l.objects) != 0 || len(l.gates) != 0 {
		t.Error("something is left")
	}
	l.queue(objectOf(t, "NLCPA"))
	if l.next() == nil {
		t.Error("the next object waits")
	}
}
