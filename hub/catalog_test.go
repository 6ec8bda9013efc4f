package hub_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"busbar/hub"
	"busbar/hub/hubtest"
)

var nextLink = regexp.MustCompile(`<http://hub\.test([^>]+)>; rel="next"`)

// page is one answer to GET All.
type page struct {
	ids []string
	// bodies are the objects by their ids.
	bodies map[string]string
	next   string // path and query of the next page; empty for none
}

func getPage(t *testing.T, p *hubtest.Platform, path, to string) page {
	t.Helper()
	got := p.Send(hubtest.Request{Method: "GET", Path: path, To: to})
	wantHTTP(t, "GET "+path, got, 200, 1000)
	var body struct {
		Data []json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal([]byte(got.Body), &body); err != nil {
		t.Fatal(err)
	}
	out := page{bodies: make(map[string]string)}
	for _, raw := range body.Data {
		var d struct {
			ID    string `json:"id"`
			Owner string `json:"party_id"`
		}
		if err := json.Unmarshal(raw, &d); err != nil {
			t.Fatal(err)
		}
		out.ids = append(out.ids, d.Owner+"/"+d.ID)
		out.bodies[d.Owner+"/"+d.ID] = string(raw)
	}
	if m := nextLink.FindStringSubmatch(got.Header.Get("Link")); m != nil {
		out.next = m[1]
	}
	return out
}

// getAll follows GET All to its end, and returns the objects by their ids.
func getAll(t *testing.T, p *hubtest.Platform, module string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for path := "/ocpi/2.2.1/sender/" + module; path != ""; {
		got := getPage(t, p, path, "EU/BUS")
		maps.Copy(all, got.bodies)
		path = got.next
	}
	return all
}

func TestP1_ACrawlSeesEveryObjectOnceWhileTheyChange(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	const objects = 60
	put := func(i int, updated time.Time) {
		id := fmt.Sprintf("T%d", i)
		broadcast(t, cpo, "PUT", "tariffs/NL/CPA/"+id, location(id, updated, ""))
	}
	for i := range objects {
		put(i, newYear)
	}
	seen := map[string]int{}
	for path, pages := "/ocpi/2.2.1/sender/tariffs?limit=7", 0; path != ""; pages++ {
		// The Link alone leads on: some clients follow it without headers.
		to := "EU/BUS"
		if pages > 0 {
			to = ""
		}
		got := getPage(t, msp, path, to)
		for _, id := range got.ids {
			seen[id]++
		}
		path = got.next
		// Between the pages some change, some go, some come.
		put(objects-1-pages, newYear.Add(time.Hour))
		broadcast(t, cpo, "DELETE", fmt.Sprintf("tariffs/NL/CPA/T%d", pages+1), "")
		put(1000+pages, newYear)
		if pages > objects {
			t.Fatal("the crawl does not end")
		}
	}
	for i := range objects {
		if n := seen[fmt.Sprintf("CPA/T%d", i)]; n > 1 || n == 0 && i > objects/7+2 {
			t.Errorf("T%d was listed %d times", i, n)
		}
	}
}

func TestP1_ADeltaFollowsItsFilters(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	for i := range 20 {
		id := fmt.Sprintf("L%02d", i)
		broadcast(t, cpo, "PUT", "locations/NL/CPA/"+id, location(id, newYear.Add(time.Duration(i)*time.Hour), ""))
	}
	query := url.Values{"date_from": {"2026-01-01T05:00:00Z"}, "date_to": {"2026-01-01T15:00:00Z"}, "limit": {"4"}}
	var ids []string
	for path := "/ocpi/2.2.1/sender/locations?" + query.Encode(); path != ""; {
		got := getPage(t, msp, path, "EU/BUS")
		ids, path = append(ids, got.ids...), got.next
	}
	if got := strings.Join(ids, " "); got != "CPA/L05 CPA/L06 CPA/L07 CPA/L08 CPA/L09 CPA/L10 CPA/L11 CPA/L12 CPA/L13 CPA/L14" {
		t.Errorf("listed %s", got)
	}
}

func TestP4_TheCatalogSurvivesARestart(t *testing.T) {
	t.Parallel()
	first := hubtest.Start(t)
	cpo, msp := first.Platform("cpo", "NL/CPA:CPO"), first.Platform("msp", "DE/MSP:EMSP")
	broadcast(t, cpo, "PUT", "locations/NL/CPA/LOC1", location("LOC1", newYear, ""))
	broadcast(t, cpo, "PUT", "locations/NL/CPA/LOC1/E1", `{"uid":"E1","status":"AVAILABLE","last_updated":"2026-01-02T00:00:00Z"}`)
	before := msp.List("locations", "EU/BUS")
	first.Stop()

	second := hubtest.Start(t, sameFolder(first))
	after := second.Send(t, hubtest.Request{Method: "GET", Path: "/ocpi/2.2.1/sender/locations", Token: msp.TokenC, To: "EU/BUS"})
	wantHTTP(t, "GET All after the restart", after, 200, 1000)
	cut := func(r *hubtest.Response) string { data, _, _ := strings.Cut(r.Body, `,"status_code"`); return data }
	if cut(before) != cut(after) || !strings.Contains(cut(after), "E1") {
		t.Errorf("before %s\nafter %s", before.Body, after.Body)
	}
}

func TestAgreements_BindEveryPlan(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t, func(c *hub.Config) { c.ClosedAgreements = true })
	cpo := h.Platform("cpo", "NL/CPA:CPO")
	friend, stranger := h.Platform("friend", "DE/FRI:EMSP"), h.Platform("stranger", "DE/STR:EMSP")
	status, answer := h.Admin("PUT", "/api/v1/agreements", map[string]any{
		"parties": []string{"DEFRI", "NLCPA"}, "modules": []string{"locations", "tokens"},
	})
	if status != http.StatusOK {
		t.Fatalf("PUT agreement: HTTP %d %v", status, answer)
	}
	send := func(p *hubtest.Platform, method, path, to, body string) *hubtest.Response {
		return p.Send(hubtest.Request{Method: method, Path: "/ocpi/2.2.1/" + path, To: to, Body: body})
	}
	broadcast(t, cpo, "PUT", "locations/NL/CPA/LOC1", location("LOC1", newYear, ""))
	friend.AwaitReceived(1)
	wantHTTP(t, "direct, agreed", send(cpo, "GET", "sender/tokens", "DE/FRI", ""), 200, 1000)
	wantHTTP(t, "direct, another module", send(cpo, "POST", "receiver/cdrs", "DE/FRI", "{}"), 200, 4001)
	wantHTTP(t, "direct, no agreement", send(cpo, "GET", "sender/tokens", "DE/STR", ""), 200, 4001)
	for p, total := range map[*hubtest.Platform]string{friend: "1", stranger: "0"} {
		got := send(p, "GET", "sender/locations", "EU/BUS", "")
		wantHTTP(t, "GET All", got, 200, 1000)
		if n := got.Header.Get("X-Total-Count"); n != total {
			t.Errorf("X-Total-Count %s, want %s", n, total)
		}
		got = p.Send(hubtest.Request{Method: "GET", Path: "/ocpi/2.2.1/hubclientinfo"})
		if n := got.Header.Get("X-Total-Count"); n != total {
			t.Errorf("client infos %s, want %s", n, total)
		}
	}
	wantHTTP(t, "open, agreed", send(friend, "GET", "sender/locations/LOC1", "", ""), 200, 1000)
	wantHTTP(t, "open, no agreement", send(stranger, "GET", "sender/locations/LOC1", "", ""), 404, 2003)
	stranger.WantNothing()
	if got := stranger.Told(); len(got) > 0 {
		t.Errorf("the stranger was told of %v", got)
	}
	h.Admin("DELETE", "/api/v1/agreements?parties=NLCPA,DEFRI", nil)
	wantHTTP(t, "the agreement has ended", send(cpo, "GET", "sender/tokens", "DE/FRI", ""), 200, 4001)
}

// shop makes a CPO answer GET locations from what it holds.
type shop struct {
	mu      sync.Mutex
	objects map[string]string
	asked   []string
	down    bool
}

func (s *shop) serve(w http.ResponseWriter, r *http.Request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		hangUp(w)
		return true
	}
	if r.Method != http.MethodGet || r.URL.Path != "/sender/locations" {
		return false
	}
	s.asked = append(s.asked, r.URL.RawQuery)
	var all []string
	for _, o := range s.objects {
		all = append(all, o)
	}
	fmt.Fprintf(w, `{"data":[%s],"status_code":1000,"timestamp":"2026-01-01T00:00:00Z"}`, strings.Join(all, ","))
	return true
}

func (s *shop) set(down bool, id, object string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down, s.objects[id] = down, object
}

// wantAskedSince holds that the hub first asked for what had changed.
func (s *shop) wantAskedSince(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asked) == 0 || !strings.Contains(s.asked[0], "date_from=") {
		t.Errorf("the CPO was asked %v", s.asked)
	}
}

func TestO2_TheHubPullsWhatItMissed(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	s := &shop{objects: map[string]string{}}
	cpo.Intercepts(s.serve)
	broadcast(t, cpo, "PUT", "locations/NL/CPA/LOC1", location("LOC1", newYear, ""))
	msp.AwaitReceived(1)
	// The CPO is lost; what it changes meanwhile reaches nobody.
	s.set(true, "LOC1", location("LOC1", newYear.Add(time.Hour), `,"name":"missed"`))
	wantHTTP(t, "a command to it", msp.Send(hubtest.Request{
		Method: "POST", Path: "/ocpi/2.2.1/receiver/commands/UNLOCK_CONNECTOR", To: "NL/CPA", Body: "{}",
	}), 200, 4003)
	msp.Await("OFFLINE", func() bool {
		told := msp.Told()
		return len(told) > 0 && strings.Contains(told[len(told)-1].Body, "OFFLINE")
	})
	s.set(false, "LOC2", location("LOC2", newYear.Add(time.Hour), ""))
	// It calls again: the hub asks what it missed, and tells the others.
	wantHTTP(t, "back", cpo.Send(hubtest.Request{Method: "GET", Path: "/ocpi/2.2.1/hubclientinfo"}), 200, 1000)
	got := msp.AwaitReceived(3)
	bodies := got[1].Body + got[2].Body
	if !strings.Contains(bodies, "missed") || !strings.Contains(bodies, "LOC2") {
		t.Errorf("after the outage the eMSP received %v", got)
	}
	s.wantAskedSince(t)
}

func TestO2_AHubThatIsAlonePullsAfterTheBriefestOutage(t *testing.T) {
	t.Parallel()
	first := hubtest.Start(t)
	cpo, msp := first.Platform("cpo", "NL/CPA:CPO"), first.Platform("msp", "DE/MSP:EMSP")
	s := &shop{objects: map[string]string{}}
	cpo.Intercepts(s.serve)
	broadcast(t, cpo, "PUT", "locations/NL/CPA/LOC1", location("LOC1", newYear, ""))
	msp.AwaitReceived(1)
	first.Stop()
	s.set(false, "LOC2", location("LOC2", newYear.Add(time.Hour), ""))

	hubtest.Start(t, sameFolder(first))
	if got := msp.AwaitReceived(2)[1]; !strings.Contains(got.URI, "LOC2") {
		t.Errorf("after the restart the eMSP received %s %s", got.Method, got.URI)
	}
	s.wantAskedSince(t)
}

func TestO2_ANewPlatformIsPulledWhereTheOperatorSaysSo(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t, func(c *hub.Config) { c.PullNewPlatforms = true })
	msp := h.Platform("msp", "DE/MSP:EMSP")
	s := &shop{objects: map[string]string{"LOC1": location("LOC1", newYear, "")}}
	cpo := h.NewPlatform("cpo", "NL/CPA:CPO")
	cpo.Intercepts(s.serve)
	cpo.Register()
	msp.AwaitReceived(1)
	if got := getPage(t, msp, "/ocpi/2.2.1/sender/locations", "EU/BUS"); len(got.ids) != 1 {
		t.Errorf("GET All lists %v", got.ids)
	}
}
