package journal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"busbar/ocpi"
	"busbar/routing"
)

// keep stores messages as a segment of their own, sealed when the last of them
// had ended.
func (s *memoryStore) keep(t *testing.T, c *codec, messages []routing.Message, legs ...routing.Legs) {
	t.Helper()
	var at time.Time
	ended := func(begin time.Time, took time.Duration) {
		if end := begin.Add(took); end.After(at) {
			at = end
		}
	}
	for _, m := range messages {
		ended(m.Time, m.Duration)
	}
	for _, l := range legs {
		ended(l.Time, l.Duration)
	}
	segment := c.seal(batch{messages: messages, legs: legs, size: len(messages) + len(legs)}, at)
	if err := s.SaveSegment(t.Context(), segment); err != nil {
		t.Fatal(err)
	}
}

// all reads page after page.
func all(t *testing.T, r *Recorder, q Query) (ids []string, pages int) {
	t.Helper()
	for {
		page := find(t, r, q)
		pages++
		if len(page.Items) > q.Limit {
			t.Fatalf("%d items in a page of %d", len(page.Items), q.Limit)
		}
		for _, item := range page.Items {
			ids = append(ids, item.CorrelationID)
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return ids, pages
		}
		if pages > 10_000 {
			t.Fatal("no end")
		}
	}
}

// Two replicas store overlapping segments, some messages take half a minute and
// some are not stored yet: pages are in the order of time all the same.
func TestSearch_PagesAreInTheOrderOfTime(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	store := &memoryStore{}
	r := New(Config{Store: store})
	var messages []routing.Message
	start := time.Unix(1_700_000_000, 0)
	for i := range 3000 {
		m := passed(t, fmt.Sprintf("m%04d", i), "NLCPA", "DEMSP")
		m.Time = start.Add(time.Duration(i/2) * 20 * time.Millisecond) // two at one time
		if m.Duration = time.Duration(random.IntN(50)) * time.Millisecond; i%20 == 0 {
			m.Duration = 30 * time.Second
		}
		messages = append(messages, m)
	}
	want := slices.Clone(messages)
	slices.SortFunc(want, func(a, b routing.Message) int { return placeOf(&b).compare(placeOf(&a)) })
	slices.SortFunc(messages, func(a, b routing.Message) int { return a.Time.Add(a.Duration).Compare(b.Time.Add(b.Duration)) })
	codecs := []*codec{newCodec(ocpi.PartyKey{}), newCodec(ocpi.PartyKey{})}
	parts := make([][]routing.Message, 2)
	for i, m := range messages {
		one := random.IntN(2)
		if i >= 2900 {
			r.Record(&m)
		} else if parts[one] = append(parts[one], m); len(parts[one]) == 30 {
			store.keep(t, codecs[one], parts[one])
			parts[one] = nil
		}
	}
	store.keep(t, codecs[0], parts[0])
	store.keep(t, codecs[1], parts[1])
	var ids []string
	for _, m := range want {
		ids = append(ids, m.CorrelationID)
	}
	for _, limit := range []int{29, 100, 1000} {
		if got, _ := all(t, r, Query{Limit: limit}); !slices.Equal(got, ids) {
			t.Errorf("limit %d: %d messages, not the %d in their order", limit, len(got), len(ids))
		}
	}
	since, until := want[2000].Time, want[500].Time
	got, _ := all(t, r, Query{Limit: 100, Since: since, Until: until})
	var within []string
	for _, m := range want {
		if !m.Time.Before(since) && m.Time.Before(until) {
			within = append(within, m.CorrelationID)
		}
	}
	if !slices.Equal(got, within) {
		t.Errorf("since until: %d messages, want %d", len(got), len(within))
	}
}

func TestSearch_StaysWholeWhileMessagesArrive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _ := run(t, Config{Store: &memoryStore{}})
		record(t, r, "a", "b", "c", "d", "e")
		q := Query{Limit: 2}
		first := find(t, r, q)
		record(t, r, "f", "g")
		time.Sleep(3 * time.Second) // all are stored between the pages
		record(t, r, "h")
		q.Cursor = first.Next
		second := find(t, r, q)
		q.Cursor = second.Next
		third := find(t, r, q)
		if got := first.ids() + "|" + second.ids() + "|" + third.ids(); got != "e d|c b|a" || third.Next != "" {
			t.Errorf("pages %s, then %q", got, third.Next)
		}
	})
}

func TestSearch_Filters(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 0)
	var messages []routing.Message
	for i, change := range []func(*routing.Message){
		func(m *routing.Message) {},
		func(m *routing.Message) { m.From, m.To = m.To, m.From },
		func(m *routing.Message) { m.Module = ocpi.ModuleCDRs },
		func(m *routing.Message) { m.Outcome, m.OCPIStatus = routing.OutcomeTimeout, 4002 },
		func(m *routing.Message) { m.HTTPStatus, m.OCPIStatus = 404, 2004 },
		func(m *routing.Message) { m.CorrelationID = `a "quoted" é` + "\n" },
		func(m *routing.Message) { m.From = ocpi.PartyKey{} },
		func(m *routing.Message) { m.Module, m.Path = ocpi.ModuleTokens, "/DE/MSP/~aaaaaaaaaa" },
		func(m *routing.Message) { m.Module, m.Path = ocpi.ModuleTokens, "/~aaaaaaaaaa/authorize" },
		func(m *routing.Message) { m.Module, m.Path = ocpi.ModuleTokens, "/DE/MSP/~bbbbbbbbbb" },
	} {
		m := passed(t, fmt.Sprint("m", i), "NLCPA", "DEMSP")
		m.Time = start.Add(time.Duration(-i) * time.Second)
		change(&m)
		messages = append(messages, m)
	}
	cpa, msp := party(t, "NLCPA"), party(t, "DEMSP")
	stored, held := New(Config{Store: &memoryStore{}}), New(Config{})
	for i := range messages {
		held.Record(&messages[i])
		stored.cfg.Store.(*memoryStore).keep(t, stored.codec, messages[i:i+1])
	}
	for name, c := range map[string]struct {
		query Query
		want  string
	}{
		"everything":         {Query{}, `m0 m1 m2 m3 m4 a "quoted" é` + "\n m6 m7 m8 m9"},
		"from a party":       {Query{Filter: Filter{From: msp}}, "m1"},
		"to a party":         {Query{Filter: Filter{To: cpa}}, "m1"},
		"between two":        {Query{Filter: Filter{From: cpa, To: msp, Module: ocpi.ModuleCDRs}}, "m2"},
		"a module":           {Query{Filter: Filter{Module: ocpi.ModuleCDRs}}, "m2"},
		"an OCPI status":     {Query{Filter: Filter{Status: "4002"}}, "m3"},
		"an HTTP status":     {Query{Filter: Filter{Status: "404"}}, "m4"},
		"an outcome":         {Query{Filter: Filter{Status: "timeout"}}, "m3"},
		"a correlation id":   {Query{Filter: Filter{CorrelationID: "m4"}}, "m4"},
		"one with quotes":    {Query{Filter: Filter{CorrelationID: `a "quoted" é` + "\n"}}, `a "quoted" é` + "\n"},
		"an unknown outcome": {Query{Filter: Filter{Status: "nothing"}}, ""},
		"an unknown party":   {Query{Filter: Filter{From: party(t, "FRXXX")}}, ""},
		"since":              {Query{Since: start.Add(-time.Second)}, "m0 m1"},
		"since long ago":     {Query{Since: time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC), Limit: 2}, "m0 m1"},
		"until far ahead":    {Query{Until: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), Limit: 2}, "m0 m1"},
		"since far ahead":    {Query{Since: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)}, ""},
		"until long ago":     {Query{Until: time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC)}, ""},
		"until":              {Query{Until: start.Add(-5 * time.Second)}, "m6 m7 m8 m9"},
		"a token":            {Query{Filter: Filter{Tokens: []string{"~aaaaaaaaaa"}}}, "m7 m8"},
		"one of two tokens":  {Query{Filter: Filter{Tokens: []string{"~cccccccccc", "~bbbbbbbbbb"}}}, "m9"},
		"an unknown token":   {Query{Filter: Filter{Tokens: []string{"~cccccccccc"}}}, ""},
		"a token, and more":  {Query{Filter: Filter{Tokens: []string{"~aaaaaaaaaa"}, From: msp}}, ""},
	} {
		for where, r := range map[string]*Recorder{"the store": stored, "memory": held} {
			if got := find(t, r, c.query).ids(); got != c.want {
				t.Errorf("%s, in %s: %q, want %q", name, where, got, c.want)
			}
		}
	}
}

// A search that finds nothing for long hands out a cursor, and continues.
func TestSearch_ARareMessageIsFoundByCursor(t *testing.T) {
	t.Parallel()
	store := &memoryStore{}
	r := New(Config{Store: store})
	for i := range 3*bodiesMost + 10 {
		m := passed(t, "hay", "NLCPA", "DEMSP")
		if i == 3 {
			m.Module = ocpi.ModuleCDRs
			m.CorrelationID = "needle"
		}
		m.Time = time.Unix(1_700_000_000+int64(i), 0)
		store.keep(t, r.codec, []routing.Message{m})
	}
	q := Query{Filter: Filter{Module: ocpi.ModuleCDRs}, Limit: 10}
	if first := find(t, r, q); first.Next == "" || len(first.Items) != 0 || store.opened > bodiesMost+bodiesAtOnce {
		t.Errorf("first page %v, next %q, after %d segments", first.Items, first.Next, store.opened)
	}
	if ids, pages := all(t, r, q); !slices.Equal(ids, []string{"needle"}) || pages < 3 {
		t.Errorf("found %v in %d pages", ids, pages)
	}
}

// What a search found last may be older than what it has not read yet: it is for
// the next page, and in one of them only.
func TestSearch_WhereASearchEndsNothingIsShownTwice(t *testing.T) {
	t.Parallel()
	store := &memoryStore{}
	r := New(Config{Store: store})
	for i := range bodiesMost + 100 {
		m := passed(t, "hay", "NLCPA", "DEMSP")
		end := time.Unix(1_700_000_000+int64(i), 0)
		if m.Time = end.Add(-m.Duration); i == 110 || i == 90 { // the 10th before the end, and beyond
			m.Module, m.CorrelationID, m.Time, m.Duration = ocpi.ModuleCDRs, fmt.Sprint("needle", i), end.Add(-30*time.Second), 30*time.Second
		}
		store.keep(t, r.codec, []routing.Message{m})
	}
	q := Query{Filter: Filter{Module: ocpi.ModuleCDRs}, Limit: 10}
	if ids, pages := all(t, r, q); !slices.Equal(ids, []string{"needle110", "needle90"}) || pages < 2 {
		t.Errorf("found %v in %d pages", ids, pages)
	}
}

// A message of some days ago is found among a busy hub's without reading what
// was stored since: the filters tell that it is not there.
func TestSearch_AnOldMessageIsFoundByItsCorrelationID(t *testing.T) {
	t.Parallel()
	store := &memoryStore{}
	r := New(Config{Store: store})
	for i := range 4000 {
		m := passed(t, fmt.Sprint("hay-", i), "NLCPA", "DEMSP")
		if i == 3 {
			m.CorrelationID = "needle"
		}
		m.Time = time.Unix(1_700_000_000+int64(i)*90, 0) // four days
		store.keep(t, r.codec, []routing.Message{m})
	}
	items, err := r.Message(t.Context(), "needle", time.Time{}, time.Time{})
	if err != nil || len(items) != 1 || items[0].CorrelationID != "needle" {
		t.Fatalf("found %v, %v", items, err)
	}
	if most := 4000 / 50; store.opened > most {
		t.Errorf("read %d bodies of %d", store.opened, store.read)
	}
	page := find(t, r, Query{Filter: Filter{CorrelationID: "needle"}})
	if page.ids() != "needle" {
		t.Errorf("listed %q, next %q", page.ids(), page.Next)
	}
}

// A segment that is forgotten between the look at it and the reading of it is
// passed by.
func TestSearch_PassesByWhatIsForgottenMeanwhile(t *testing.T) {
	t.Parallel()
	store := &forgetful{memoryStore: &memoryStore{}}
	r := New(Config{Store: store})
	for _, id := range []string{"a", "b", "c"} {
		store.keep(t, r.codec, []routing.Message{passed(t, id, "NLCPA", "DEMSP")})
	}
	store.forgets = store.segments[1].ID
	if got := find(t, r, Query{}); got.ids() != "c a" || got.Next != "" {
		t.Errorf("found %q, next %q", got.ids(), got.Next)
	}
}

// forgetful has one segment no more when its body is asked for.
type forgetful struct {
	*memoryStore
	forgets string
}

func (s *forgetful) Bodies(ctx context.Context, ids []string) (map[string][]byte, error) {
	bodies, err := s.memoryStore.Bodies(ctx, ids)
	delete(bodies, s.forgets)
	return bodies, err
}

func TestSearch_RefusesAForeignCursor(t *testing.T) {
	t.Parallel()
	for _, cursor := range []string{"!", "abc", "MTIz", strings.Repeat("A", 1000)} {
		if _, err := New(Config{}).Search(t.Context(), Query{Cursor: cursor}); !errors.Is(err, ErrCursor) {
			t.Errorf("%q: %v", cursor, err)
		}
	}
}

// A segment that cannot be read must not hide the others.
func TestSearch_PassesByWhatItCannotRead(t *testing.T) {
	t.Parallel()
	store := &memoryStore{}
	r := New(Config{Store: store})
	m := passed(t, "good", "NLCPA", "DEMSP")
	store.keep(t, r.codec, []routing.Message{m})
	broken := store.segments[0]
	broken.ID, broken.Body, broken.Filter = broken.ID+"z", []byte("what is this"), nil
	later := broken
	later.ID += "z"
	later.Body = r.codec.packer.EncodeAll([]byte(`{"kind":"of a later version"}`+"\nno JSON\n"), nil)
	store.segments = append(store.segments, broken, later)
	if got := find(t, r, Query{}).ids(); got != "good" {
		t.Errorf("found %q", got)
	}
}

func TestS5_LegsAreJoinedToTheirBroadcast(t *testing.T) {
	t.Parallel()
	hub := party(t, "EUBUS")
	store := &memoryStore{}
	r := New(Config{Store: store, Hub: hub})
	push := func(at int64) (routing.Message, routing.Legs) {
		m := passed(t, "c-1", "NLCPA", "EUBUS")
		m.Time, m.Plan, m.Module = time.Unix(at, 0), routing.PlanBroadcast, ocpi.ModuleLocations
		return m, routing.Legs{
			Time: m.Time.Truncate(time.Microsecond), Duration: 40 * time.Second, CorrelationID: "c-1", Method: m.Method,
			Module: m.Module, From: m.From, Total: 3, OK: 1, Superseded: 1, Failed: []routing.FailedLeg{{
				To: party(t, "DEMSP"), Platform: "p1", RequestID: "r-9", Outcome: routing.OutcomeTimeout,
				OCPIStatus: 4002, Detail: "no answer", Duration: 30 * time.Second,
			}},
		}
	}
	// One correlation id for two pushes; the legs come in a later segment.
	first, firstLegs := push(1_700_000_000)
	second, secondLegs := push(1_700_000_300)
	firstLegs.OK, secondLegs.OK = 11, 22
	direct := passed(t, "c-1", "DEMSP", "NLCPA")
	direct.Time = time.Unix(1_700_000_200, 0)
	store.keep(t, r.codec, []routing.Message{first})
	store.keep(t, r.codec, nil, firstLegs)
	store.keep(t, r.codec, []routing.Message{direct})
	store.keep(t, r.codec, []routing.Message{second})
	r.RecordLegs(&secondLegs)
	for name, q := range map[string]Query{
		"all": {}, "to the hub": {Filter: Filter{To: hub}}, "by correlation id": {Filter: Filter{CorrelationID: "c-1"}},
		"page by page": {Limit: 1},
	} {
		var legs []string
		for {
			page := find(t, r, q)
			for _, item := range page.Items {
				if item.Legs != nil {
					legs = append(legs, fmt.Sprint(item.Legs.OK, item.Legs.Total, len(item.Legs.Failed)))
				}
			}
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
		}
		if !slices.Equal(legs, []string{"22 3 1", "11 3 1"}) {
			t.Errorf("%s: legs %v", name, legs)
		}
	}
	for name, between := range map[string][2]time.Time{
		"from the newest": {}, "with times": {time.Unix(1_700_000_000, 0), time.Unix(1_700_000_301, 0)},
	} {
		items, err := r.Message(t.Context(), "c-1", between[0], between[1])
		if err != nil || len(items) != 3 || !items[0].Time.Equal(first.Time) || items[1].Legs != nil || items[2].Legs == nil {
			t.Fatalf("%s: %v, %v", name, items, err)
		}
		if got := items[0].Legs.Failed[0]; got != firstLegs.Failed[0] {
			t.Errorf("%s: leg %+v, want %+v", name, got, firstLegs.Failed[0])
		}
	}
	if items, err := r.Message(t.Context(), "c-2", time.Time{}, time.Time{}); err != nil || len(items) != 0 {
		t.Errorf("unknown: %v, %v", items, err)
	}
}

// In the place of a PATCH that comes late, or again, goes the whole object: the legs
// are the message's all the same. A message of the same sender under the same id, a
// moment later, whose legs have not ended, does not get them.
func TestS5_LegsAreTheMessagesByWhateverMethodTheyWent(t *testing.T) {
	t.Parallel()
	r := New(Config{Store: &memoryStore{}, Hub: party(t, "EUBUS")})
	push := func(method string, at time.Time) routing.Message {
		m := passed(t, "c-1", "NLCPA", "EUBUS")
		m.Time, m.Plan, m.Module, m.Method = at, routing.PlanBroadcast, ocpi.ModuleLocations, method
		return m
	}
	begin := time.Unix(1_700_000_000, 123_456_789)
	patch, put := push("PATCH", begin), push("PUT", begin.Add(2*time.Microsecond))
	tariff := patch
	tariff.Module = ocpi.ModuleTariffs
	for _, m := range []routing.Message{patch, put, tariff} {
		r.Record(&m)
	}
	r.RecordLegs(&routing.Legs{ // the log knows microseconds
		Time: begin.Truncate(time.Microsecond), CorrelationID: "c-1", Method: "PUT", Module: ocpi.ModuleLocations,
		From: patch.From, Total: 2, OK: 2,
	})
	got := map[string]*routing.Legs{}
	for _, item := range find(t, r, Query{}).Items {
		got[item.Method+" "+string(item.Module)] = item.Legs
	}
	if l := got["PATCH locations"]; l == nil || l.OK != 2 || l.Method != "PUT" {
		t.Errorf("the PATCH has legs %+v", l)
	}
	if got["PUT locations"] != nil || got["PATCH tariffs"] != nil {
		t.Errorf("others have its legs: %v", got)
	}
}
