package routing

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busbar/catalog"
	"busbar/ocpi/peer"
	"busbar/parties"
)

func explainer(t *testing.T) *Router {
	d := parties.NewDirectory(peer.NewDialer(peer.DialerConfig{}))
	var all []parties.Platform
	for _, e := range market(t).Platforms() {
		all = append(all, e.Platform)
	}
	d.Replace(parties.Record{Platforms: all, Revision: 1})
	index := taught(t, NewIndex(IndexConfig{}), "DEMSP NLCPA PUT RECEIVER tokens /DE/MSP/0A {}")
	return NewRouter(RouterConfig{
		Directory: d, Hub: parties.Identity{Party: party(t, "EUBUS")}, Index: index, Catalog: emptyCatalog(t),
	})
}

// emptyCatalog has loaded a record without objects.
func emptyCatalog(t *testing.T) *catalog.Catalog {
	t.Helper()
	c := catalog.New(catalog.Config{Store: nothing{}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // it loads, and ends
	c.Run(ctx)
	return c
}

// nothing is the record of an empty catalog.
type nothing struct{ catalog.Store }

func (nothing) Load(context.Context, func(catalog.Row) error) (revision, lastSeq int64, err error) {
	return 0, 0, nil
}

func TestExplain(t *testing.T) {
	t.Parallel()
	r := explainer(t)
	for _, tt := range []struct {
		name, from, to, request string
		plan                    PlanKind
		targets                 string
		excludes, refuses       string
	}{
		{"a direct push", "DECPO", "DEMSP", "PATCH RECEIVER locations /DE/CPO/L1/E1?a=b {}", PlanDirect,
			"DEMSP drivers https://drivers.test/receiver/locations/DE/CPO/L1/E1?a=b", "", ""},
		{"the requester is on the platform of the opposite role", "SETWN", "DEMSP", "PUT RECEIVER tariffs /SE/TWN/T1 {}", PlanDirect,
			"DEMSP drivers https://drivers.test/receiver/tariffs/SE/TWN/T1", "", ""},
		{"an open authorisation", "DECPO", "", "POST SENDER tokens /0A/authorize", PlanOpen,
			"DEMSP drivers https://drivers.test/sender/tokens/0A/authorize", "", ""},
		{"an inquiry", "DECPO", "", "POST SENDER tokens /0B/authorize", PlanOpen,
			"ATONE both, DEMSP drivers, NLMSP apps, SETWN twin-msp", "NLDEF: no tokens SENDER endpoint", ""},
		{"a broadcast", "DECPO", "EUBUS", `PUT RECEIVER locations /DE/CPO/L1 {"id":"L1"}`, PlanBroadcast,
			"ATONE both, DEMSP drivers https://drivers.test/receiver/locations/DE/CPO/L1, FRNAP poi, NLMSP apps, NLNSP maps, SETWN twin-msp",
			"FROFF: its platform is OFFLINE", ""},
		{"a broadcast that names nothing", "DECPO", "EUBUS", "PUT RECEIVER locations /DE/CPO", PlanRefused, "", "", "2001: the URL has no location id"},
		{"a broadcast of another's body", "DECPO", "EUBUS", `PUT RECEIVER locations /DE/CPO/L1 {"id":"L2"}`, PlanRefused, "", "", `2001: field id is "L2"`},
		{"a broadcast of a part of nothing", "DECPO", "EUBUS", `PATCH RECEIVER locations /DE/CPO/L1/E1 {"last_updated":1}`, PlanRefused, "", "", "2003: the hub has no location"},
		{"the end of an unknown Tariff", "DECPO", "EUBUS", `DELETE RECEIVER tariffs /DE/CPO/T1`, PlanRefused, "", "", "the hub has no tariff"},
		{"a broadcast of no Token", "DEMSP", "EUBUS", `PUT RECEIVER tokens /DE/MSP/0A {}`, PlanRefused, "", "", "2001: field uid"},
		{"all Locations", "DEMSP", "EUBUS", "GET SENDER locations", PlanCatalog, "", "FRPLC: its platform is PLANNED", ""},
		{"all Sessions", "DEMSP", "EUBUS", "GET SENDER sessions /?date_from=2026-01-01T00:00:00Z&limit=5", PlanCatalog,
			"ATONE both, DECPO solo https://solo.test/sender/sessions?date_from=2026-01-01T00:00:00Z, FROFC offline, NLCPA chargers, NLCPB chargers, SETWN twin-cpo",
			"NLMSP: role EMSP does not own sessions", ""},
		{"all Tokens, of whoever serves them", "DECPO", "EUBUS", "GET SENDER tokens", PlanCatalog,
			"ATONE both, DEMSP drivers, FROFF offline, NLMSP apps, SETWN twin-msp", "NLDEF: no tokens SENDER endpoint", ""},
		{"a refusal", "DECPO", "XXYYY", "PUT RECEIVER locations /DE/CPO/L1 {}", PlanRefused, "", "", "4001: no party XXYYY"},
		{"nobody asks", "", "DEMSP", "GET SENDER tokens", PlanRefused, "", "", "OCPI-from-party-id are missing"},
		{"a stranger asks (R9)", "XXYYY", "DEMSP", "GET SENDER tokens", PlanRefused, "", "", "XXYYY is not a party"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := r.Explain(t.Context(), request(t, tt.from, tt.to, tt.request))
			if e.Plan != tt.plan || (e.Refusal != nil) != (tt.refuses != "") || e.Refusal != nil && !strings.Contains(e.Refusal.Error(), tt.refuses) {
				t.Fatalf("%s, %v", e.Plan, e.Refusal)
			}
			var got []string
			for i, target := range e.Targets {
				text := fmt.Sprintf("%s %s", target.Party, target.Platform)
				if want := strings.Split(tt.targets, ", "); i < len(want) && strings.Contains(want[i], "://") {
					text += " " + target.URL
				}
				got = append(got, text)
			}
			if diff := cmp.Diff(tt.targets, strings.Join(got, ", ")); diff != "" {
				t.Error(diff)
			}
			excluded := slices.ContainsFunc(e.Excluded, func(x Exclusion) bool { return x.Party.String()+": "+x.Reason == tt.excludes })
			if excluded != (tt.excludes != "") {
				t.Errorf("left out: %v", e.Excluded)
			}
		})
	}
}

// The parties that a list leaves out, and those that it is made of, are all.
func TestUnlistedOwnersAreThoseThatTheListLeavesOut(t *testing.T) {
	t.Parallel()
	v := View{Snapshot: market(t), Hub: party(t, "EUBUS")}
	caller := v.Snapshot.Platform("drivers")
	for _, module := range []string{"locations", "sessions", "cdrs"} {
		req := request(t, "DEMSP", "EUBUS", "GET SENDER "+module)
		var got []string
		for _, s := range gatherSenders(v.Snapshot, caller, req) {
			got = append(got, s.party.String())
		}
		unlisted(&v, caller, req, func(x Exclusion) { got = append(got, x.Party.String()) })
		var all []string
		for _, m := range v.Snapshot.Roll() {
			all = append(all, m.Party.String())
		}
		all = slices.Compact(all)
		slices.Sort(got)
		if diff := cmp.Diff(all, got); diff != "" {
			t.Errorf("%s:\n%s", module, diff)
		}
	}
}

func TestUnlistedOwnersMayHaveNoAgreement(t *testing.T) {
	t.Parallel()
	v := View{Snapshot: closedMarket(t, "DEMSP NLCPA ATONE"), Hub: party(t, "EUBUS")}
	var got []string
	unlisted(&v, v.Snapshot.Platform("drivers"), request(t, "DEMSP", "EUBUS", "GET SENDER locations"), func(x Exclusion) {
		if x.Reason == "no agreement" {
			got = append(got, x.Party.String())
		}
	})
	if diff := cmp.Diff([]string{"DECPO", "FRNAP", "FROFC", "NLCPB", "SETWN"}, got); diff != "" {
		t.Error(diff)
	}
}
