package routing

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"busbar/ocpi"
)

func TestM4_TrafficTeachesWhoHasWhat(t *testing.T) {
	t.Parallel()
	cpa, msp := party(t, "NLCPA"), party(t, "DEMSP")
	location := func(id string) func(*Index) any { return func(x *Index) any { return x.Location(id) } }
	token := func(uid, tokenType string) func(*Index) any {
		return func(x *Index) any { return x.Token(uid, tokenType) }
	}
	session := func(id string) func(*Index) any { return func(x *Index) any { return x.Session(id) } }
	none, ofCPA, ofMSP := []ocpi.PartyKey(nil), []ocpi.PartyKey{cpa}, []ocpi.PartyKey{msp}
	for _, tt := range []struct {
		name, message string
		ask           func(*Index) any
		want          any
	}{
		{"a Location", "NLCPA DEMSP PUT RECEIVER locations /NL/CPA/LOC1 {}", location("loc1"), ofCPA},
		{"an EVSE's status", "NLCPA DEMSP PATCH RECEIVER locations /nl/cpa/loc1/E1 {}", location("LOC1"), ofCPA},
		{"an escaped id", "NLCPA DEMSP PUT RECEIVER locations /NL/CPA/LOC%2F1 {}", location("loc/1"), ofCPA},
		{"a read teaches nothing", "NLCPA DEMSP GET RECEIVER locations /NL/CPA/LOC1", location("LOC1"), none},
		{"a URL without an id", "NLCPA DEMSP PUT RECEIVER locations /NL/CPA {}", location(""), none},
		{"an id that is none", "NLCPA DEMSP PUT RECEIVER locations /NL/CPA/" + strings.Repeat("x", 300) + " {}", location(strings.Repeat("x", 300)), none},
		{"a Tariff", "NLCPA DEMSP PUT RECEIVER tariffs /NL/CPA/T1 {}", func(x *Index) any { return x.Tariff("t1") }, ofCPA},
		{"a Tariff is no Location", "NLCPA DEMSP PUT RECEIVER tariffs /NL/CPA/T1 {}", location("t1"), none},
		{"a Token", "DEMSP NLCPA PUT RECEIVER tokens /DE/MSP/0A {}", token("0a", "RFID"), ofMSP},
		{"a Token of a type", "DEMSP NLCPA PATCH RECEIVER tokens /DE/MSP/0A?a=b&type=APP_USER {}", token("0A", "APP_USER"), ofMSP},
		{"of that type only", "DEMSP NLCPA PATCH RECEIVER tokens /DE/MSP/0A?type=APP_USER {}", token("0A", "RFID"), none},
		{"an authorisation", "NLCPA DEMSP POST SENDER tokens /0A/authorize", token("0A", "RFID"), ofMSP},
		{"a Session", "NLCPA DEMSP PUT RECEIVER sessions /NL/CPA/S1 {}", session("s1"), []Pair{{cpa, msp}}},
		{"a Session's update", "NLCPA DEMSP PATCH RECEIVER sessions /NL/CPA/S1 {}", session("S1"), []Pair{{cpa, msp}}},
		{"a Session's token", `NLCPA DEMSP PUT RECEIVER sessions /NL/CPA/S1 {"cdr_token":{"uid":"0A","type":"OTHER"}}`, token("0a", "OTHER"), ofMSP},
		{"a Session's token, towards an SCSP", `NLCPA NLSCS PUT RECEIVER sessions /NL/CPA/S1 {"cdr_token":{"country_code":"DE","party_id":"MSP","uid":"0A"}}`, token("0a", "RFID"), none},
		{"a CDR's token", `NLCPA DEMSP POST RECEIVER cdrs {"cdr_token":{"country_code":"DE","party_id":"MSP","uid":7}}`, token("7", "RFID"), ofMSP},
		{"a reservation", `DEMSP NLCPA POST RECEIVER commands /RESERVE_NOW {"reservation_id":"R1"}`, func(x *Index) any { return x.Reservation(msp, "r1") }, ofCPA},
		{"a reservation of another", `DEMSP NLCPA POST RECEIVER commands /RESERVE_NOW {"reservation_id":"R1"}`, func(x *Index) any { return x.Reservation(cpa, "r1") }, none},
		{"a START_SESSION teaches nothing", `DEMSP NLCPA POST RECEIVER commands /START_SESSION {"reservation_id":"R1","location_id":"LOC1"}`, location("LOC1"), none},
		{"a charging profile", "DEMSP NLCPA PUT RECEIVER chargingprofiles /S1 {}", func(x *Index) any { return x.Profile(cpa, "S1") }, ofMSP},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			x := taught(t, NewIndex(IndexConfig{}), tt.message)
			if diff := cmp.Diff(tt.want, tt.ask(x)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestARejectedCommandTeachesNothing(t *testing.T) {
	t.Parallel()
	x := NewIndex(IndexConfig{})
	rejected := []byte(`{"data":{"result":"REJECTED","timeout":30},"status_code":1000}`)
	x.Learn(request(t, "DEMSP", "NLCPA", "PUT RECEIVER chargingprofiles /S1 {}"), rejected)
	x.Learn(request(t, "DEMSP", "NLCPA", `POST RECEIVER commands /RESERVE_NOW {"reservation_id":"R1"}`), rejected)
	if got := x.Profile(party(t, "NLCPA"), "S1"); got != nil {
		t.Errorf("profile: %v", got)
	}
	if got := x.Reservation(party(t, "DEMSP"), "R1"); got != nil {
		t.Errorf("reservation: %v", got)
	}
}

func TestWhoKnowsAToken(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]bool{
		`{"allowed":"ALLOWED"}`:                            true,
		`{"allowed":"BLOCKED","token":{"uid":"0a"}}`:       true,
		`{"allowed":"BLOCKED","token":{"uid":"0B"}}`:       false,
		`{"allowed":"NOT_ALLOWED"}`:                        false,
		`{"allowed":"NOT_ALLOWED","info":{"text":"who?"}}`: false,
		`null`: false,
	} {
		x := NewIndex(IndexConfig{})
		x.Learn(request(t, "NLCPA", "DEMSP", "POST SENDER tokens /0A/authorize"), []byte(`{"status_code":1000,"data":`+data+`}`))
		if known := len(x.Token("0A", "RFID")) == 1; known != want {
			t.Errorf("%s: known %v", data, known)
		}
	}
}

func TestManyMayHaveAnIdButTheLatestHasTheProfile(t *testing.T) {
	t.Parallel()
	x := taught(t, NewIndex(IndexConfig{}),
		"NLCPB DEMSP PUT RECEIVER locations /NL/CPB/1 {}", "NLCPA DEMSP PUT RECEIVER locations /NL/CPA/1 {}",
		"DEMSP NLCPA PUT RECEIVER chargingprofiles /S1 {}", "NLSCS NLCPA PUT RECEIVER chargingprofiles /S1 {}")
	if diff := cmp.Diff([]ocpi.PartyKey{party(t, "NLCPA"), party(t, "NLCPB")}, x.Location("1")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]ocpi.PartyKey{party(t, "NLSCS")}, x.Profile(party(t, "NLCPA"), "S1")); diff != "" {
		t.Error(diff)
	}
}

func BenchmarkLearn(b *testing.B) {
	for name, line := range map[string]string{
		"locations": "NLCPA DEMSP PATCH RECEIVER locations /NL/CPA/LOC-00001234/3256A-1 {}",
		"sessions":  `NLCPA DEMSP PUT RECEIVER sessions /NL/CPA/S1 {"cdr_token":{"uid":"0A"}}`,
		"commands":  "DEMSP NLCPA POST RECEIVER commands /START_SESSION {}",
	} {
		b.Run(name, func(b *testing.B) {
			x := taught(b, NewIndex(IndexConfig{}), line)
			words := strings.SplitN(line, " ", 3)
			req := request(b, words[0], words[1], words[2])
			b.ReportAllocs()
			for b.Loop() {
				x.Learn(req, nil)
			}
		})
	}
}

func TestLearningWhatIsKnownAllocatesNothing(t *testing.T) {
	line := "PATCH RECEIVER locations /NL/CPA/LOC-00001234/3256A-1 {}"
	x := taught(t, NewIndex(IndexConfig{}), "NLCPA DEMSP "+line)
	req := request(t, "NLCPA", "DEMSP", line)
	if n := testing.AllocsPerRun(100, func() { x.Learn(req, nil) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A token that moves from one eMSP to another is ambiguous until the old one says
// that it does not know it (A1).
func TestM4_ATokenThatMovedIsForgottenWhereItWas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecord()
		x := NewIndex(IndexConfig{Store: r})
		stop := running(t, x)
		pushes := []string{"DEMSP NLCPA PUT RECEIVER tokens /DE/MSP/0A {}", "NLMSP NLCPA PUT RECEIVER tokens /NL/MSP/0A {}"}
		taught(t, x, pushes...)
		time.Sleep(2 * saveEvery)
		both := []ocpi.PartyKey{party(t, "DEMSP"), party(t, "NLMSP")}
		authorize := func(to, query string) *ocpi.Request {
			return request(t, "NLCPA", to, "POST SENDER tokens /0a/authorize"+query)
		}
		for _, not := range []struct {
			req    *ocpi.Request
			status ocpi.StatusCode
		}{
			{authorize("DEMSP", ""), ocpi.NotEnoughInfo}, {authorize("DEMSP", "?type=APP_USER"), ocpi.UnknownToken},
			{authorize("ATONE", ""), ocpi.UnknownToken}, {request(t, "NLCPA", "DEMSP", "GET SENDER tokens /0A"), ocpi.UnknownToken},
		} {
			x.Unlearn(not.req, not.status)
		}
		if diff := cmp.Diff(both, x.Token("0A", "RFID")); diff != "" {
			t.Errorf("forgotten too early:\n%s", diff)
		}
		r.fail(errors.New("down"))
		x.Unlearn(authorize("DEMSP", ""), ocpi.UnknownToken)
		time.Sleep(2 * saveEvery)
		r.fail(nil)
		time.Sleep(2 * saveAgain)
		x.Fetch(t.Context(), authorize("", ""))
		for name, index := range map[string]*Index{"here": x, "after a restart": NewIndex(IndexConfig{Store: r})} {
			index.Fetch(t.Context(), authorize("", ""))
			if diff := cmp.Diff(both[1:], index.Token("0A", "RFID")); diff != "" {
				t.Errorf("%s:\n%s", name, diff)
			}
		}
		// It may come back.
		taught(t, x, pushes[0])
		x.Unlearn(authorize("NLMSP", ""), ocpi.UnknownToken)
		taught(t, x, pushes[1])
		time.Sleep(2 * saveEvery)
		taught(t, x, "ATONE NLCPA PUT RECEIVER tokens /AT/ONE/0A {}")
		x.Unlearn(authorize("ATONE", ""), ocpi.UnknownToken) // before it was saved
		stop()
		again := NewIndex(IndexConfig{Store: r})
		again.Fetch(t.Context(), authorize("", ""))
		if diff := cmp.Diff(both, again.Token("0A", "RFID")); diff != "" {
			t.Errorf("after all:\n%s", diff)
		}
	})
}
