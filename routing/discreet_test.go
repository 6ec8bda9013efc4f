package routing

import (
	"strings"
	"testing"

	"busbar/ocpi"
)

func nameUpper(uid string) string { return "~" + strings.ToUpper(uid) }

// taken is a journal that keeps what it is given.
type taken struct {
	messages []Message
	legs     []Legs
}

func (n *taken) Record(m *Message)  { n.messages = append(n.messages, *m) }
func (n *taken) RecordLegs(l *Legs) { n.legs = append(n.legs, *l) }

func TestDiscreet_NoUIDOfATokenStandsInAPath(t *testing.T) {
	t.Parallel()
	tests := []struct{ side, path, want string }{
		{"RECEIVER", "/NL/TNM/abc", "/NL/TNM/~ABC"},
		{"RECEIVER", "/nl/tnm/abc/", "/nl/tnm/~ABC"},
		{"RECEIVER", "/NL/TNM/a%2Fb", "/NL/TNM/~A/B"},
		{"RECEIVER", "/NL/TNM/a/b", "/NL/TNM/~A/B"},
		{"RECEIVER", "/NL/TNM/", "/NL/TNM/"},
		{"RECEIVER", "/NL/TNM", "/NL/TNM"},
		{"RECEIVER", "/abc", "/~ABC"},
		{"RECEIVER", "/abc/def", "/~ABC/DEF"},
		{"RECEIVER", "abc", "/~ABC"},
		{"RECEIVER", "/NL/TNM/%zz", "/NL/TNM/~%ZZ"},
		{"SENDER", "/abc/authorize", "/~ABC/authorize"},
		{"SENDER", "/abc/authorize/", "/~ABC/authorize"},
		{"SENDER", "/a/b/authorize", "/~A/B/authorize"},
		{"SENDER", "/NL/TNM/abc", "/~NL/TNM/ABC"},
		{"SENDER", "", ""},
		{"SENDER", "/", "/"},
		{"SENDER", "/authorize", "/authorize"},
	}
	for _, tt := range tests {
		var kept, also taken
		sent := Message{Module: ocpi.ModuleTokens, Interface: ocpi.InterfaceRole(tt.side), Path: tt.path, CorrelationID: "c"}
		NewDiscreet(nameUpper, &kept, &also).Record(&sent)
		if sent.Path != tt.path {
			t.Errorf("%s: the sender's message was changed", tt.path)
		}
		sent.Path = tt.want
		if len(kept.messages) != 1 || kept.messages[0] != sent || len(also.messages) != 1 || also.messages[0] != sent {
			t.Errorf("%s %s: kept %+v, want path %q", tt.side, tt.path, kept.messages, tt.want)
		}
	}
}

func TestDiscreet_OtherModulesAndLegsPassAsTheyAre(t *testing.T) {
	t.Parallel()
	var kept taken
	d := NewDiscreet(nameUpper, &kept)
	for _, module := range []ocpi.ModuleID{ocpi.ModuleSessions, ocpi.ModuleCDRs, ocpi.ModuleLocations, ocpi.ModuleCommands} {
		d.Record(&Message{Module: module, Path: "/NL/TNM/abc"})
	}
	d.RecordLegs(&Legs{Module: ocpi.ModuleTokens, CorrelationID: "c"})
	for _, m := range kept.messages {
		if m.Path != "/NL/TNM/abc" {
			t.Errorf("%s: path %s", m.Module, m.Path)
		}
	}
	if len(kept.messages) != 4 || len(kept.legs) != 1 {
		t.Errorf("kept %d messages and %d legs", len(kept.messages), len(kept.legs))
	}
}

// What a command names in its body stands in its refusal, and may be a uid.
func TestDiscreet_NoUIDOfATokenStandsInTheRefusalOfACommand(t *testing.T) {
	t.Parallel()
	var kept taken
	d := NewDiscreet(nameUpper, &kept)
	for detail, want := range map[string]string{
		"":                                       "",
		"field location_id must stand once":      "field location_id must stand once",
		`no location "abc" is known to this hub`: "no location ~ABC is known to this hub",
		`reservation "a\"b\n": address "c"`:      "reservation ~A\"B\n: address ~C",
		`it is cut off in "abc`:                  `it is cut off in ~"ABC`,
	} {
		sent := Message{Module: ocpi.ModuleCommands, Path: "/START_SESSION", Detail: detail}
		d.Record(&sent)
		if got := kept.messages[len(kept.messages)-1]; got.Detail != want || got.Path != sent.Path || sent.Detail != detail {
			t.Errorf("%q: kept %q, want %q", detail, got.Detail, want)
		}
	}
	d.Record(&Message{Module: ocpi.ModuleLocations, Path: "/L1", Detail: `no location "L1"`})
	if got := kept.messages[len(kept.messages)-1].Detail; got != `no location "L1"` {
		t.Errorf("of a path that is kept as it is, the refusal says %q", got)
	}
}

// Nobody knows what a module that OCPI does not have writes into its paths, or
// who misspelt tokens.
func TestDiscreet_TakesNothingForGrantedOutsideOCPI(t *testing.T) {
	t.Parallel()
	var kept taken
	d := NewDiscreet(nameUpper, &kept)
	for path, want := range map[string]string{"/DE/TNM/abc/authorize": "/~DE/~TNM/~ABC/authorize", "": "", "/": "/"} {
		sent := Message{Module: "token", Path: path}
		d.Record(&sent)
		if got := kept.messages[len(kept.messages)-1]; got.Path != want || sent.Path != path {
			t.Errorf("%q: kept %q, want %q", path, got.Path, want)
		}
	}
}

func TestDiscreetURL_HidesTheUIDOfARequestThatNobodyMayMake(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/ocpi/2.2.1/receiver/tokens/NL/TNM/abc":   "/ocpi/2.2.1/receiver/tokens/NL/TNM/~ABC",
		"/ocpi/2.2.1/sender/tokens/abc/authorize":  "/ocpi/2.2.1/sender/tokens/~ABC/authorize",
		"/ocpi/emsp/2.2/Tokens/abc":                "/ocpi/emsp/2.2/Tokens/~ABC",
		"/ocpi/2.2.1/sender/tokens/":               "/ocpi/2.2.1/sender/tokens/",
		"/ocpi/2.2.1/sender/tokens":                "/ocpi/2.2.1/sender/tokens",
		"/ocpi/2.2.1/credentials":                  "/ocpi/2.2.1/credentials",
		"/ocpi/2.2.1/receiver/sessions/NL/TNM/abc": "/ocpi/2.2.1/receiver/sessions/NL/TNM/abc",
		"/ocpi/receiver/tokens/NL/TNM/abc":         "/ocpi/receiver/tokens/NL/TNM/~ABC",
		"/ocpi/2.2.1/receiver/TOKENS/NL/TNM/abc":   "/ocpi/2.2.1/receiver/TOKENS/NL/TNM/~ABC",
		"/ocpi/2.2.1/receiver/tokens/NL/TNM/a/b/c": "/ocpi/2.2.1/receiver/tokens/NL/TNM/~A/B/C",
		// OCPI does not have these.
		"/ocpi/2.2.1/receiver/NL/TNM/abc":       "/ocpi/2.2.1/receiver/~NL/~TNM/~ABC",
		"/ocpi/2.2.1/receiver/token/NL/TNM/abc": "/ocpi/2.2.1/receiver/~TOKEN/~NL/~TNM/~ABC",
		"/ocpi/2.2.1/emsp/token/abc/authorize":  "/ocpi/2.2.1/emsp/~TOKEN/~ABC/authorize",
		"/ocpi/2.2.1/sender/tokens2/abc":        "/ocpi/2.2.1/sender/~TOKENS2/~ABC",
		"/ocpi/9.9/abc":                         "/ocpi/9.9/~ABC",
		"/abc":                                  "/~ABC",
		"abc":                                   "~ABC",
		"/ocpi//a%62c/":                         "/ocpi//~ABC/",
		"":                                      "",
		"/ocpi/2.2.1/callback/abc":              "/ocpi/2.2.1/callback/~ABC",
		"/ocpi/2.2.1/credentials/abc":           "/ocpi/2.2.1/credentials/~ABC",
		"/x/ocpi/2.2.1/receiver/tokens/NL/TNM/abc":             "/~X/ocpi/2.2.1/receiver/tokens/~NL/~TNM/~ABC",
		"/ocpi/versions" + strings.Repeat("/cpo", 20) + "/abc": "/ocpi/versions" + strings.Repeat("/cpo", 9) + "/…",
	} {
		if got := DiscreetURL(path, nameUpper); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

// BenchmarkDiscreet is what a message pays for it; one of other modules next to
// nothing.
func BenchmarkDiscreet(b *testing.B) {
	d := NewDiscreet(func(string) string { return "~" })
	for _, module := range []ocpi.ModuleID{ocpi.ModuleLocations, ocpi.ModuleTokens} {
		b.Run(string(module), func(b *testing.B) {
			m := Message{Module: module, Interface: ocpi.Receiver, Path: "/NL/TNM/012345678"}
			b.ReportAllocs()
			for b.Loop() {
				d.Record(&m)
			}
		})
	}
}
