package faults

import (
	"strings"
	"testing"
)

// A short language for stories: pushes of the object locations/L.
func put(n int, o outcome) push { return push{"locations/L", true, state{"n": n, "a": n, "b": n}, o} }
func patchA(n int, o outcome) push {
	return push{"locations/L", false, state{"n": n, "a": n}, o}
}
func patchB(n int, o outcome) push {
	return push{"locations/L", false, state{"n": n, "b": n}, o}
}

func pushed(pushes ...push) []push { return pushes }

func leg(p push) arrival { return arrival{p.object, p.whole, p.fields} }

func arrived(pushes ...push) []arrival {
	legs := []arrival{}
	for _, p := range pushes {
		legs = append(legs, leg(p))
	}
	return legs
}

// present is a leg with the catalog's document.
func present(s state) []arrival { return []arrival{{"locations/L", true, s}} }

func TestStory_ComplainsOfEveryBrokenPromise(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		pushes   []push
		arrivals []arrival
		record   state
		doubtful bool
		want     string // part of the only complaint; empty: none
	}{
		"all well":                        {pushed(put(1, accepted), patchA(2, accepted)), arrived(put(1, 0), patchA(2, 0)), state{"n": 2, "a": 2, "b": 1}, false, ""},
		"twice":                           {pushed(put(1, accepted), patchA(2, accepted)), arrived(put(1, 0), put(1, 0), patchA(2, 0), patchA(2, 0)), state{"n": 2, "a": 2, "b": 1}, false, ""},
		"the newest state instead of all": {pushed(put(1, accepted), patchA(2, accepted)), present(state{"n": 2, "a": 2, "b": 1}), state{"n": 2, "a": 2, "b": 1}, false, ""},
		"a push too little":               {pushed(put(1, accepted), patchA(2, accepted)), arrived(put(1, 0)), state{"n": 2, "a": 2, "b": 1}, false, "has locations/L as"},
		"a push lost between others":      {pushed(put(1, accepted), patchA(2, accepted), patchB(3, accepted)), arrived(put(1, 0), patchB(3, 0)), state{"n": 3, "a": 2, "b": 3}, false, "has locations/L as"},
		"nothing":                         {pushed(put(1, accepted)), arrived(), state{"n": 1, "a": 1, "b": 1}, false, "has locations/L as map[]"},
		"back to an older state":          {pushed(put(1, accepted), put(2, accepted)), arrived(put(2, 0), put(1, 0), put(2, 0)), state{"n": 2, "a": 2, "b": 2}, false, "leg 1 brings locations/L from 2 back to 1"},
		"a refused push is sent on":       {pushed(put(1, accepted), put(2, refused), put(3, accepted)), arrived(put(1, 0), put(2, 0), put(3, 0)), state{"n": 3, "a": 3, "b": 3}, false, "leg 1 of locations/L has n 2, which was refused"},
		"a refused push is kept":          {pushed(put(1, accepted), put(2, refused)), arrived(put(1, 0), put(2, 0)), state{"n": 2, "a": 2, "b": 2}, true, ""},
		"a refused push is kept only":     {pushed(put(1, accepted), put(2, refused)), arrived(put(1, 0)), state{"n": 2, "a": 2, "b": 2}, true, "has locations/L as"},
		"a refused push is sent only":     {pushed(put(1, accepted), put(2, refused)), arrived(put(1, 0), put(2, 0)), state{"n": 1, "a": 1, "b": 1}, true, "has locations/L as"},
		"an unanswered push is had":       {pushed(put(1, accepted), patchA(2, unknown)), arrived(put(1, 0), patchA(2, 0)), state{"n": 2, "a": 2, "b": 1}, false, ""},
		"an unanswered push is not had":   {pushed(put(1, accepted), patchA(2, unknown)), arrived(put(1, 0)), state{"n": 1, "a": 1, "b": 1}, false, ""},
		"the record lost a push":          {pushed(put(1, accepted), patchA(2, accepted)), arrived(put(1, 0)), state{"n": 1, "a": 1, "b": 1}, false, "the catalog of one has locations/L as"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := story{
				pushes: map[string][]push{"locations/L": c.pushes}, arrivals: map[string][]arrival{"DEMSP": c.arrivals},
				meant: func(string, string) bool { return true }, record: map[string]map[string]state{"one": {"locations/L": c.record}},
				doubtful: c.doubtful,
			}
			got := s.complaints()
			switch {
			case c.want == "" && len(got) > 0:
				t.Errorf("complains %q", got)
			case c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)):
				t.Errorf("complains %q, want one that says %q", got, c.want)
			}
		})
	}
}

func TestStory_ReplicasMustAgreeAndTokensArriveWithoutARecord(t *testing.T) {
	t.Parallel()
	token := push{"tokens/T", true, state{"n": 1}, accepted}
	s := story{
		pushes:   map[string][]push{"locations/L": {put(1, accepted), put(2, unknown)}, "tokens/T": {token}},
		arrivals: map[string][]arrival{"DEMSP": arrived(put(1, 0), put(2, 0)), "NLCPA": {}},
		meant:    func(object, receiver string) bool { return kept(object) == (receiver == "DEMSP") },
		record: map[string]map[string]state{
			"one": {"locations/L": put(2, 0).fields}, "two": {"locations/L": put(1, 0).fields, "locations/X": {"n": 1}},
		},
	}
	all := strings.Join(s.complaints(), "\n")
	for _, want := range []string{
		"the catalogs differ in locations/L", "the catalog of two has locations/X, which nobody pushed", "NLCPA has tokens/T as map[]",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("does not complain that %s:\n%s", want, all)
		}
	}
}
