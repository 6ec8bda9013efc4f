package routing

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busbar/catalog"
	"busbar/ocpi"
	"busbar/parties"
)

// memoryRecord is a catalog.Store of one replica.
type memoryRecord struct {
	mu       sync.Mutex
	rows     []catalog.Row
	revision int64
}

func (s *memoryRecord) Revision(context.Context) (int64, error) { return s.revision, nil }

func (s *memoryRecord) Load(context.Context, func(catalog.Row) error) (int64, int64, error) {
	return 0, 0, nil
}

func (s *memoryRecord) Since(context.Context, int64) ([]catalog.Row, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return nil, s.revision, nil
}

func (s *memoryRecord) Settle(context.Context, int64) (bool, error) { return false, nil }

func (s *memoryRecord) Commit(_ context.Context, _ int64, decide catalog.Decide) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := int64(0)
	for _, row := range s.rows {
		last = max(last, row.Seq)
	}
	rows := decide(nil, s.revision+1, last)
	if len(rows) == 0 {
		return s.revision, nil
	}
	s.revision++
	s.rows = append(s.rows, rows...)
	return s.revision, nil
}

func (s *memoryRecord) ForgetDeleted(context.Context, time.Time) (int64, error) { return 0, nil }

// runCatalog gives the hub a catalog that is loaded.
func (h *gatherHub) runCatalog() *catalog.Catalog {
	h.t.Helper()
	c := catalog.New(catalog.Config{Store: &memoryRecord{}, Logger: slog.New(slog.DiscardHandler)})
	h.router.cfg.Catalog = c
	ctx, cancel := context.WithCancel(h.t.Context())
	var running sync.WaitGroup
	running.Go(func() { c.Run(ctx) })
	h.t.Cleanup(func() { cancel(); running.Wait() })
	for !c.Loaded() {
		runtime.Gosched() // it is loaded from memory
	}
	return c
}

// holds puts a Location with this last_updated into the catalog.
func (h *gatherHub) holds(c *catalog.Catalog, owner, id, updated string) {
	h.t.Helper()
	_, err := c.Apply(h.t.Context(), catalog.Write{
		Method: "PUT", Module: "locations", Owner: party(h.t, owner), ID: id, Received: time.Now(),
		Body: []byte(strings.Replace(object(owner, id, ""), "2026-01-31T12:00:00Z", updated, 1)),
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func TestP4_ACatalogThatIsNotLoadedIsNoEmptyList(t *testing.T) {
	t.Parallel()
	if l := newGatherHub(t).get("locations", ""); l.status != 4003 || len(l.ids) > 0 || l.total != "" || l.message.Outcome != OutcomeUnreachable {
		t.Errorf("got %+v", l)
	}
}

func TestP1_ListsOfTheCatalog(t *testing.T) {
	t.Parallel()
	h := newGatherHub(t)
	for _, name := range []string{"AACPO", "BBCPO", "CCOFF", "DDHLD"} {
		h.platform(name, "http://"+name+".test", nil, role(t, name, ocpi.RoleCPO))
	}
	h.change("CCOFF", func(p *parties.Platform) { p.Status = ocpi.Offline })
	c := h.runCatalog()
	const january, february = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
	h.holds(c, "BBCPO", "L0", february)
	h.holds(c, "DDHLD", "H", january)
	h.holds(c, "AACPO", "L1", january)
	h.holds(c, "CCOFF", "L2", january)
	h.holds(c, "DEMSP", "OWN", january)
	h.holds(c, "BBCPO", "L3", january)
	h.change("DDHLD", func(p *parties.Platform) { p.Held, p.Status = true, ocpi.Suspended })
	for _, test := range []struct {
		query, total string
		pages        []string
	}{
		{"", "4", []string{"L0 L1 L2 L3"}},
		{"limit=2", "4", []string{"L0 L1", "L2 L3"}},
		{"limit=3", "4", []string{"L0 L1 L2", "L3"}},
		{"limit=1&x=1", "4", []string{"L0", "L1", "L2", "L3"}},
		{"limit=2&offset=1", "4", []string{"L1 L2", "L3"}},
		{"offset=4", "4", []string{""}},
		{"offset=9223372036854775807", "4", []string{""}},
		{"limit=0", "4", []string{""}},
		{"limit=2&date_to=" + february, "3", []string{"L1 L2", "L3"}},
		{"date_from=" + february, "1", []string{"L0"}},
		{"date_from=" + february + "&date_to=" + january, "0", []string{""}},
	} {
		pages, total := h.walk("locations", test.query)
		if diff := cmp.Diff(test.pages, pages); diff != "" || total != test.total {
			t.Errorf("%s: total %s, want %s\n%s", test.query, total, test.total, diff)
		}
	}
	if l := h.getAs("AACPO", "AACPO", "locations", ""); strings.Join(l.ids, " ") != "L0 L2 OWN L3" {
		t.Errorf("a CPO gets %v", l.ids)
	}
	if l := h.get("tariffs", ""); l.status != 1000 || l.total != "0" {
		t.Errorf("tariffs: %+v", l)
	}
	// A page that was begun goes on, whoever comes or goes.
	first := h.get("locations", "limit=2")
	h.holds(c, "AACPO", "L4", january)
	h.change("AACPO", func(p *parties.Platform) { p.Held, p.Status = true, ocpi.Suspended })
	if l := h.get("locations", first.next); strings.Join(l.ids, " ") != "L2 L3" || l.total != "3" || l.next != "" {
		t.Errorf("the next page: %+v", l)
	}
	if l := h.get("locations", "cursor=AAAA"); l.status != 2001 || !strings.Contains(l.says, "parameter cursor") {
		t.Errorf("a bad cursor: %+v", l)
	}
}

func TestO2_PullsFillTheCatalog(t *testing.T) {
	t.Parallel()
	var objects []string
	for i := range 250 {
		objects = append(objects, object("NLCPA", fmt.Sprintf("L%03d", i), `,"kwh":1.50`))
	}
	l := serves("NLCPA", objects...)
	h := newGatherHub(t, l)
	c := h.runCatalog()
	h.holds(c, "NLCPA", "L007", "2026-03-01T00:00:00Z") // a push that came later than the list
	s := keeps(t)
	p, logged := newPuller(t, h.directory, s)
	p.keep = keeping{loaded: c.Loaded, counts: c.Counts, apply: c.Apply}
	for _, counts := range []string{"objects=250 changed=249 older=1 foreign=0 bad=0", "objects=250 changed=0 older=1 foreign=0 bad=0"} {
		if err := p.pull(t.Context(), h.directory.Snapshot().Platform("NLCPA"), noon); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(logged.String(), counts) {
			t.Errorf("logged %s, want %s", logged, counts)
		}
		logged.Reset()
	}
	pages, total := h.walk("locations", "")
	if total != "250" || len(pages) != 3 || len(s.broadcasts) != 249 {
		t.Errorf("%s objects on %d pages, %d broadcasts", total, len(pages), len(s.broadcasts))
	}
}
