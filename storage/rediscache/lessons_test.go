package rediscache_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busbar/ocpi"
	"busbar/routing"
	"busbar/storage/rediscache"
	"busbar/storage/seal"
	"busbar/storage/storagetest"
)

// pupil is a replica that hears lessons until the test ends, or stop is called.
type pupil struct {
	*rediscache.LessonNews
	t       *testing.T
	hearing chan bool
	learned chan routing.LearnedLesson
	stop    func()
}

func newPupil(t *testing.T, url, namespace string, replica routing.ReplicaID, deafAfter time.Duration) *pupil {
	t.Helper()
	sealer, err := seal.New([]string{storagetest.Secret(0)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	p := &pupil{
		t: t, hearing: make(chan bool, 1000), learned: make(chan routing.LearnedLesson, 30_000),
		LessonNews: rediscache.NewLessonNews(rediscache.LessonNewsConfig{
			Client: client(t, url), Namespace: namespace, Replica: replica, Sealer: sealer, DeafAfter: deafAfter,
		}),
	}
	var running sync.WaitGroup
	running.Go(func() {
		p.Hear(ctx, func(yes bool) { p.hearing <- yes }, func(lessons []routing.LearnedLesson) {
			for _, l := range lessons {
				p.learned <- l
			}
		})
	})
	p.stop = func() { cancel(); running.Wait() }
	t.Cleanup(p.stop)
	return p
}

// becomes waits until it hears, or does not.
func (p *pupil) becomes(hearing bool) {
	p.t.Helper()
	for {
		select {
		case yes := <-p.hearing:
			if yes == hearing {
				return
			}
		case <-p.t.Context().Done():
			p.t.Fatalf("hearing is not %v", hearing)
		}
	}
}

func learnedLesson(t *testing.T, n int, change routing.LessonChange) routing.LearnedLesson {
	t.Helper()
	party, err := ocpi.ParseParty("NLCPA")
	if err != nil {
		t.Fatal(err)
	}
	l := routing.LearnedLesson{Change: change, Lesson: routing.Lesson{
		Kind: routing.LessonSession, Pair: routing.Pair{Owner: party}, ExpiresAt: time.Date(2030, 1, 1, 0, 0, n, 0, time.UTC),
	}}
	copy(l.Key[:], fmt.Sprintf("plain-key-%06d", n))
	return l
}

func TestLessonNews_ReachTheOthersSealedAndInOrder(t *testing.T) {
	t.Parallel()
	url, namespace := storagetest.Redis(t), storagetest.Namespace(t)
	one, two := newPupil(t, url, namespace, "one", time.Minute), newPupil(t, url, namespace, "two", time.Minute)
	one.becomes(true)
	two.becomes(true)
	spy := client(t, url).Subscribe(t.Context(), "busbar:{"+namespace+"}:lessons")
	defer spy.Close()
	var want []routing.LearnedLesson
	for i := range 1200 {
		want = append(want, learnedLesson(t, i, []routing.LessonChange{routing.LessonLearned, routing.LessonReplaced, routing.LessonDropped}[i%3]))
	}
	want[7].Pair.With = want[7].Pair.Owner
	one.Tell(want[0])
	one.Tell(want[1:]...)
	var got []routing.LearnedLesson
	for range want {
		got = append(got, <-two.learned)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("heard (-want +got):\n%s", diff)
	}
	if len(one.learned) != 0 || len(two.hearing) != 0 {
		t.Errorf("it heard %d of itself, the other missed %d times", len(one.learned), len(two.hearing))
	}
	message, err := spy.ReceiveMessage(t.Context())
	// Shorter texts stand in what is sealed by chance.
	if err != nil || strings.Contains(message.Payload, "plain-key-") {
		t.Errorf("in clear: %.100q, %v", message.Payload, err)
	}
	// What is told last is heard though the replica ends.
	one.Tell(want[0])
	one.stop()
	if last := <-two.learned; last != want[0] {
		t.Errorf("at the end: %v", last)
	}
}

func TestLessonNews_WhatIsDroppedIsToldAsALoss(t *testing.T) {
	t.Parallel()
	namespace := storagetest.Namespace(t)
	line, url := storagetest.NewLine(t, storagetest.Redis(t))
	one, two := newPupil(t, url, namespace, "one", 0), newPupil(t, storagetest.Redis(t), namespace, "two", 0)
	one.becomes(true)
	two.becomes(true)
	line.Cut()
	one.becomes(false)
	for i := range 25_000 { // does not block
		one.Tell(learnedLesson(t, i, routing.LessonLearned))
	}
	line.Mend()
	one.becomes(true)
	two.becomes(true) // anew: it missed something
	// Again and again: a line that a busy machine holds up for a second loses it.
	last := learnedLesson(t, 30_000, routing.LessonLearned)
	for heard := false; !heard; {
		one.Tell(last)
		select {
		case l := <-two.learned:
			heard = l.ExpiresAt.Equal(last.ExpiresAt)
		case <-time.After(time.Second):
		}
	}
}

// What another secret sealed cannot be read: something was missed.
func TestLessonNews_WhatCannotBeReadIsALoss(t *testing.T) {
	t.Parallel()
	url, namespace := storagetest.Redis(t), storagetest.Namespace(t)
	two := newPupil(t, url, namespace, "two", 0)
	two.becomes(true)
	for _, message := range []string{"one\n", "one\nnonsense"} {
		if err := client(t, url).Publish(t.Context(), "busbar:{"+namespace+"}:lessons", message).Err(); err != nil {
			t.Fatal(err)
		}
	}
	two.becomes(true)
	if len(two.hearing) != 0 {
		t.Error("a sign of life is taken for a loss")
	}
}
