package storagetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"busbar/routing"
)

// lesson reads "NLCPA" or, with whom it was shared, "NLCPA DEMSP"; it is about
// a name and expires at a second of the tests.
func lesson(name, pair string, expires int) routing.Lesson {
	owner, with, _ := strings.Cut(pair, " ")
	l := routing.Lesson{
		Key: lessonKey(name), Kind: routing.LessonSession,
		Pair: routing.Pair{Owner: claim(owner + " CPO").Party}, ExpiresAt: at(expires),
	}
	if with != "" {
		l.Pair.With = claim(with + " EMSP").Party
	}
	return l
}

func lessonKey(name string) routing.LessonKey {
	sum := sha256.Sum256([]byte(name))
	return routing.LessonKey(sum[:16])
}

// TestLessons runs the conformance suite of routing.LessonStore. open returns an
// empty store, as two replicas see it.
func TestLessons(t *testing.T, open func(*testing.T) (a, b routing.LessonStore)) {
	t.Helper()
	tests := map[string]func(t *testing.T, a, b routing.LessonStore){
		"every field survives":                            everyLessonField,
		"what is unknown and what expired is not found":   lessonsNotFound,
		"lessons of several keys are found at once":       severalLessons,
		"the later end counts":                            laterLesson,
		"a lesson may stand twice in a batch":             lessonTwice,
		"a key has many pairs until they are replaced":    replaceLessons,
		"one lesson of a key is dropped":                  dropLessons,
		"what is erased is gone, and other replicas hear": eraseLessons,
		"an erasure may be bounded to an owner":           eraseOwner,
		"erasures are forgotten after their life":         forgetErasures,
		"a lesson without an end is refused":              endlessLesson,
		"nothing is saved of nothing":                     noLessons,
		"many lessons are saved and found":                manyLessons,
		"what expired is forgotten":                       forgetLessons,
		"beyond the most the first to expire go":          mostLessons,
		"more than one step is forgotten":                 forgetManyLessons,
		"replicas that learn the same at once both save":  concurrentLessons,
		"replacing at once leaves one of them":            concurrentReplaces,
		"each is forgotten once by replicas at once":      concurrentLessonForgets,
		"a call that was given up is an error":            lessonsGivenUp,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := open(t)
			test(t, a, b)
		})
	}
}

func everyLessonField(t *testing.T, a, b routing.LessonStore) {
	shared, bare := lesson("session", "NLCPA DEMSP", 10), lesson("bare", "NLCPA", 10)
	bare.Kind, bare.Pair.Owner = routing.LessonToken, shared.Pair.With
	exact := lesson("exact", "NLA", 0)
	exact.ExpiresAt = time.Date(2026, 7, 1, 2, 0, 0, 987654321, time.FixedZone("somewhere", 2*3600))
	saveLessons(t, a, shared, bare, exact)
	exact.ExpiresAt = time.Date(2026, 7, 1, 0, 0, 0, 987654000, time.UTC)
	wantLessons(t, b, 0, "session bare exact", shared, bare, exact)
	exact.Key = routing.LessonKey{}
	saveLessons(t, a, exact)
	wantKeys(t, b, 0, []routing.LessonKey{{}}, exact)
}

func lessonsNotFound(t *testing.T, a, b routing.LessonStore) {
	l := lesson("l", "NLCPA", 10)
	saveLessons(t, a, l)
	wantLessons(t, b, 9, "l", l)
	wantLessons(t, b, 10, "l")
	wantLessons(t, b, 0, "other")
	wantKeys(t, b, 0, nil)
}

func severalLessons(t *testing.T, a, b routing.LessonStore) {
	one, two := lesson("one", "NLCPA", 10), lesson("two", "NLCPB", 20)
	also, other := lesson("one", "DECPO DEMSP", 30), lesson("other", "NLCPA", 10)
	saveLessons(t, a, one, two, also, other)
	wantLessons(t, b, 0, "one two none one", one, two, also)
	wantLessons(t, b, 10, "one two", two, also)
}

func laterLesson(t *testing.T, a, b routing.LessonStore) {
	for _, step := range []struct{ said, kept int }{{10, 10}, {20, 20}, {15, 20}, {21, 21}} {
		saveLessons(t, a, lesson("l", "NLCPA", step.said))
		wantLessons(t, b, 0, "l", lesson("l", "NLCPA", step.kept))
	}
	for _, step := range []struct{ said, kept int }{{11, 21}, {30, 30}} {
		replace(t, b, lesson("l", "NLCPA", step.said))
		wantLessons(t, a, 0, "l", lesson("l", "NLCPA", step.kept))
	}
}

func lessonTwice(t *testing.T, a, b routing.LessonStore) {
	saveLessons(t, a, lesson("l", "NLCPA", 10), lesson("m", "NLCPA", 1), lesson("l", "NLCPA", 12), lesson("l", "NLCPA", 11))
	wantLessons(t, b, 0, "l", lesson("l", "NLCPA", 12))
	replace(t, a, lesson("l", "NLCPA", 10), lesson("l", "NLCPA", 22), lesson("l", "NLCPA", 11))
	wantLessons(t, b, 0, "l", lesson("l", "NLCPA", 22))
}

func replaceLessons(t *testing.T, a, b routing.LessonStore) {
	first, second, third := lesson("l", "NLCPA", 10), lesson("l", "NLCPB", 10), lesson("l", "NLCPA DEMSP", 10)
	other := lesson("other", "NLCPA", 10)
	saveLessons(t, a, first, second, third, other)
	wantLessons(t, b, 0, "l other", first, second, third, other)
	fourth, fresh := lesson("l", "DECPO", 5), lesson("fresh", "DECPO", 6)
	replace(t, b, fourth, fresh, second)
	wantLessons(t, a, 0, "l other fresh", fourth, second, other, fresh)
	replace(t, b)
	wantLessons(t, a, 0, "l other fresh", fourth, second, other, fresh)
}

func dropLessons(t *testing.T, a, b routing.LessonStore) {
	first, second, third := lesson("l", "NLCPA", 10), lesson("l", "NLCPB", 10), lesson("l", "NLCPA DEMSP", 10)
	other := lesson("other", "NLCPA", 10)
	saveLessons(t, a, first, second, third, other)
	dropped := first
	dropped.ExpiresAt = time.Time{}
	for range 2 {
		if err := b.DropLessons(t.Context(), []routing.Lesson{dropped, lesson("never there", "NLCPA", 10), dropped}); err != nil {
			t.Fatal(err)
		}
		wantLessons(t, a, 0, "l other", second, third, other)
	}
	saveLessons(t, a, first)
	wantLessons(t, b, 0, "l other", first, second, third, other)
}

func eraseLessons(t *testing.T, a, b routing.LessonStore) {
	wantErasures(t, b)
	saveLessons(t, a, lesson("l", "NLCPA", 10), lesson("l", "NLCPB DEMSP", 10), lesson("m", "NLCPA", 10), lesson("other", "NLCPA", 10))
	wantErased(t, a, 3, routing.Erasure{Key: lessonKey("l")}, routing.Erasure{Key: lessonKey("m")}, routing.Erasure{Key: lessonKey("none")})
	wantLessons(t, b, 0, "l m none other", lesson("other", "NLCPA", 10))
	wantErasures(t, b, routing.Erasure{Key: lessonKey("l")}, routing.Erasure{Key: lessonKey("m")}, routing.Erasure{Key: lessonKey("none")})
	// Once more is another erasure: what was learned since goes too.
	saveLessons(t, b, lesson("m", "NLCPA", 10))
	wantErased(t, b, 1, routing.Erasure{Key: lessonKey("m")})
	wantErased(t, b, 0, routing.Erasure{Key: lessonKey("m")})
	if n := len(erasures(t, a)); n != 5 {
		t.Errorf("%d erasures, want 5", n)
	}
	wantErased(t, a, 0)
}

func eraseOwner(t *testing.T, a, b routing.LessonStore) {
	saveLessons(t, a, lesson("l", "NLCPA", 10), lesson("l", "NLCPA DEMSP", 10), lesson("l", "NLCPB", 10))
	erasure := routing.Erasure{Key: lessonKey("l"), Owner: claim("NLCPA CPO").Party}
	wantErased(t, b, 2, erasure)
	wantLessons(t, a, 0, "l", lesson("l", "NLCPB", 10))
	wantErasures(t, a, erasure)
}

func forgetErasures(t *testing.T, a, b routing.LessonStore) {
	erasure := routing.Erasure{Key: lessonKey("l")}
	wantErased(t, a, 0, erasure)
	for _, step := range []struct {
		now  time.Time
		left int
	}{{at(0).Add(routing.ErasureLife - time.Second), 1}, {at(0).Add(routing.ErasureLife), 0}} {
		if _, err := b.ForgetLessons(t.Context(), step.now, 100); err != nil {
			t.Fatal(err)
		}
		if n := len(erasures(t, a)); n != step.left {
			t.Errorf("%d erasures after %v, want %d", n, step.now.Sub(at(0)), step.left)
		}
	}
}

func erasures(t *testing.T, s routing.LessonStore) []routing.Erasure {
	t.Helper()
	list, err := s.Erasures(t.Context())
	if err != nil {
		t.Fatalf("Erasures: %v", err)
	}
	return list
}

// wantErasures compares without the order and the ids, which differ.
func wantErasures(t *testing.T, s routing.LessonStore, want ...routing.Erasure) {
	t.Helper()
	got, ids := erasures(t, s), make(map[string]bool)
	for i := range got {
		ids[got[i].ID] = true
		if got[i].ID = ""; !slices.Contains(want, got[i]) {
			t.Errorf("erasure %+v, want one of %+v", got[i], want)
		}
	}
	if len(ids) != len(want) || ids[""] {
		t.Errorf("%d erasures, want %d", len(ids), len(want))
	}
}

func wantErased(t *testing.T, s routing.LessonStore, want int64, list ...routing.Erasure) {
	t.Helper()
	if n, err := s.EraseLessons(t.Context(), list, at(0)); n != want || err != nil {
		t.Errorf("EraseLessons = %d, %v, want %d", n, err, want)
	}
}

func endlessLesson(t *testing.T, a, b routing.LessonStore) {
	kept, endless := lesson("l", "NLCPA", 10), lesson("m", "NLCPA", 0)
	endless.ExpiresAt = time.Time{}
	saveLessons(t, a, kept)
	if err := a.SaveLessons(t.Context(), []routing.Lesson{lesson("fine", "NLCPA", 10), endless}); err == nil {
		t.Error("SaveLessons succeeded")
	}
	// A replacement that fails deletes nothing.
	if err := a.ReplaceLessons(t.Context(), []routing.Lesson{lesson("l", "NLCPB", 10), endless}); err == nil {
		t.Error("ReplaceLessons succeeded")
	}
	wantLessons(t, b, 0, "l m fine", kept)
}

func noLessons(t *testing.T, a, b routing.LessonStore) {
	saveLessons(t, a)
	replace(t, a)
	wantForgottenLessons(t, b, 0, 0, 0)
}

func manyLessons(t *testing.T, a, b routing.LessonStore) {
	const all = 2500 // more than a statement takes
	list, names := make([]routing.Lesson, all), make([]string, all)
	for i := range list {
		names[i] = fmt.Sprint(i)
		list[i] = lesson(names[i], "NLCPA", 10)
	}
	saveLessons(t, a, list...)
	wantLessons(t, b, 0, strings.Join(names, " "), list...)
	for i := range list {
		list[i] = lesson(names[i], "NLCPB", 5)
	}
	replace(t, b, list...)
	wantLessons(t, a, 0, strings.Join(names, " "), list...)
}

func forgetLessons(t *testing.T, a, b routing.LessonStore) {
	past, now, soon := lesson("past", "NLCPA", 9), lesson("now", "NLCPA", 10), lesson("soon", "NLCPA", 11)
	saveLessons(t, a, past, now, soon)
	wantForgottenLessons(t, b, 8, 99, 0)
	wantForgottenLessons(t, b, 10, 99, 2)
	wantForgottenLessons(t, b, 10, 99, 0)
	wantLessons(t, a, 0, "past now soon", soon)
}

func mostLessons(t *testing.T, a, b routing.LessonStore) {
	var list []routing.Lesson
	for i, name := range strings.Fields("a b c d e") {
		list = append(list, lesson(name, "NLCPA", 10+i))
	}
	saveLessons(t, a, list...)
	wantForgottenLessons(t, b, 0, 5, 0)
	wantForgottenLessons(t, b, 0, 3, 2)
	wantLessons(t, a, 0, "a b c d e", list[2:]...)
	wantForgottenLessons(t, b, 12, 1, 2) // one expired, one is beyond
	wantLessons(t, a, 0, "a b c d e", list[4])
	wantForgottenLessons(t, b, 0, 0, 1)
}

func forgetManyLessons(t *testing.T, a, b routing.LessonStore) {
	const all = 4100
	list := make([]routing.Lesson, all)
	for i := range list {
		list[i] = lesson(fmt.Sprint(i), "NLCPA", i%2)
	}
	saveLessons(t, a, list...)
	wantForgottenLessons(t, b, 0, 7, all-7)
}

func concurrentLessons(t *testing.T, a, b routing.LessonStore) {
	list := make([]routing.Lesson, 200)
	for i := range list {
		list[i] = lesson(fmt.Sprint(i/2), []string{"NLCPA", "NLCPB"}[i%2], 10)
	}
	together(writers, func(i int) {
		mine := slices.Clone(list)
		if i%4 > 1 {
			slices.Reverse(mine)
		}
		do := []routing.LessonStore{a, b}[i%2].SaveLessons
		if i%3 == 0 {
			do = []routing.LessonStore{a, b}[i%2].ReplaceLessons
		}
		if err := do(t.Context(), mine); err != nil {
			t.Errorf("writer %d: %v", i, err)
		}
	})
	wantForgottenLessons(t, a, 10, 0, int64(len(list)))
}

func concurrentReplaces(t *testing.T, a, b routing.LessonStore) {
	together(writers, func(i int) {
		err := []routing.LessonStore{a, b}[i%2].ReplaceLessons(t.Context(), []routing.Lesson{lesson("l", fmt.Sprintf("NL%d", i), 10)})
		if err != nil {
			t.Errorf("ReplaceLessons: %v", err)
		}
	})
	got, err := a.Lessons(t.Context(), []routing.LessonKey{lessonKey("l")}, at(0))
	if err != nil || len(got) != 1 {
		t.Errorf("Lessons = %v, %v, want one", got, err)
	}
}

func concurrentLessonForgets(t *testing.T, a, b routing.LessonStore) {
	const all, most = 100, 10
	for i := range all {
		saveLessons(t, a, lesson(fmt.Sprint(i), "NLCPA", 10+i%20))
	}
	counts := make([]int64, writers)
	together(writers, func(i int) {
		var err error
		if counts[i], err = []routing.LessonStore{a, b}[i%2].ForgetLessons(t.Context(), at(12), most); err != nil {
			t.Errorf("ForgetLessons: %v", err)
		}
	})
	sum := int64(0)
	for _, n := range counts {
		sum += n
	}
	if sum != all-most {
		t.Errorf("ForgetLessons counted %d in all, want %d", sum, all-most)
	}
}

func lessonsGivenUp(t *testing.T, a, b routing.LessonStore) {
	l := lesson("l", "NLCPA", 10)
	saveLessons(t, a, l)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, loadErr := a.Lessons(ctx, []routing.LessonKey{l.Key}, at(0))
	_, forgetErr := a.ForgetLessons(ctx, at(99), 0)
	for what, err := range map[string]error{
		"Lessons": loadErr, "ForgetLessons": forgetErr,
		"SaveLessons":    a.SaveLessons(ctx, []routing.Lesson{lesson("m", "NLCPA", 10)}),
		"DropLessons":    a.DropLessons(ctx, []routing.Lesson{l}),
		"ReplaceLessons": a.ReplaceLessons(ctx, []routing.Lesson{lesson("l", "NLCPB", 10)}),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want Canceled", what, err)
		}
	}
	wantLessons(t, b, 0, "l m", l)
}

func saveLessons(t *testing.T, s routing.LessonStore, list ...routing.Lesson) {
	t.Helper()
	if err := s.SaveLessons(t.Context(), list); err != nil {
		t.Fatalf("SaveLessons: %v", err)
	}
}

func replace(t *testing.T, s routing.LessonStore, list ...routing.Lesson) {
	t.Helper()
	if err := s.ReplaceLessons(t.Context(), list); err != nil {
		t.Fatalf("ReplaceLessons: %v", err)
	}
}

// wantLessons asks for the keys of some names.
func wantLessons(t *testing.T, s routing.LessonStore, now int, names string, want ...routing.Lesson) {
	t.Helper()
	var keys []routing.LessonKey
	for _, name := range strings.Fields(names) {
		keys = append(keys, lessonKey(name))
	}
	wantKeys(t, s, now, keys, want...)
}

func wantKeys(t *testing.T, s routing.LessonStore, now int, keys []routing.LessonKey, want ...routing.Lesson) {
	t.Helper()
	got, err := s.Lessons(t.Context(), keys, at(now))
	if err != nil {
		t.Fatalf("Lessons: %v", err)
	}
	order := func(a, b routing.Lesson) int {
		return strings.Compare(string(a.Key[:])+a.Pair.Owner.String()+"/"+a.Pair.With.String(),
			string(b.Key[:])+b.Pair.Owner.String()+"/"+b.Pair.With.String())
	}
	want = slices.SortedFunc(slices.Values(want), order)
	slices.SortFunc(got, order)
	if d := diff(want, got); d != "" {
		t.Errorf("Lessons differ (-want +got):\n%s", d)
	}
}

func wantForgottenLessons(t *testing.T, s routing.LessonStore, now, most int, want int64) {
	t.Helper()
	if n, err := s.ForgetLessons(t.Context(), at(now), most); err != nil || n != want {
		t.Errorf("ForgetLessons at %d beyond %d = %d, %v, want %d", now, most, n, err, want)
	}
}
