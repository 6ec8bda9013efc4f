package rediscache_test

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"busbar/journal"
	"busbar/ocpi"
	"busbar/routing"
	"busbar/storage/rediscache"
	"busbar/storage/storagetest"
)

func feed(t *testing.T, url, namespace string, replica routing.ReplicaID) *rediscache.Feed {
	t.Helper()
	return rediscache.NewFeed(rediscache.FeedConfig{Client: client(t, url), Namespace: namespace, Replica: replica})
}

// ear listens until the test ends, or stop is called.
type ear struct {
	t       *testing.T
	hearing chan bool
	news    chan string
	stop    func()
}

func listen(t *testing.T, f *rediscache.Feed) *ear {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	e := &ear{t: t, hearing: make(chan bool, 100), news: make(chan string, 100)}
	var running sync.WaitGroup
	running.Go(func() {
		f.Listen(ctx, func(yes bool) { e.hearing <- yes }, func(news []byte) { e.news <- string(news) })
	})
	e.stop = func() { cancel(); running.Wait() }
	t.Cleanup(e.stop)
	return e
}

// becomes waits until it hears, or does not.
func (e *ear) becomes(hearing bool) {
	e.t.Helper()
	for {
		select {
		case yes := <-e.hearing:
			if yes == hearing {
				return
			}
		case <-e.t.Context().Done():
			e.t.Fatalf("hearing is not %v", hearing)
		}
	}
}

func report(t *testing.T, f *rediscache.Feed, figures string) (listened bool) {
	t.Helper()
	listened, err := f.Report(t.Context(), []byte(figures))
	if err != nil {
		t.Fatal(err)
	}
	return listened
}

func TestFeed_NewsReachTheOthersWhoListen(t *testing.T) {
	t.Parallel()
	url, namespace := storagetest.Redis(t), storagetest.Namespace(t)
	one, two := feed(t, url, namespace, "one"), feed(t, url, namespace, "two")
	stranger := listen(t, feed(t, url, storagetest.Namespace(t), "stranger"))
	stranger.becomes(true)
	if report(t, one, "") || report(t, two, "") {
		t.Error("somebody listens before anybody does")
	}
	ear := listen(t, two)
	ear.becomes(true)
	if !report(t, one, "") {
		t.Error("the listener is not known")
	}
	if report(t, two, "") {
		t.Error("a replica takes itself for another")
	}
	for _, f := range []*rediscache.Feed{two, one} {
		if err := f.Publish(t.Context(), []byte("a\nb\x00")); err != nil {
			t.Fatal(err)
		}
	}
	if got := <-ear.news; got != "a\nb\x00" || len(ear.news) > 0 || len(stranger.news) > 0 {
		t.Errorf("heard %q and %d more", got, len(ear.news))
	}
	ear.stop()
	for report(t, one, "") { // Redis learns of the end by the connection's
		if t.Context().Err() != nil {
			t.Fatal("still listened to")
		}
	}
}

func TestFeed_ALostSubscriptionIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	namespace := storagetest.Namespace(t)
	line, url := storagetest.NewLine(t, storagetest.Redis(t))
	ear := listen(t, feed(t, url, namespace, "two"))
	ear.becomes(true)
	one := feed(t, storagetest.Redis(t), namespace, "one")
	for range 2 {
		line.Cut()
		ear.becomes(false)
		line.Mend()
		ear.becomes(true)
		if err := one.Publish(t.Context(), []byte("news")); err != nil {
			t.Fatal(err)
		}
		if got := <-ear.news; got != "news" {
			t.Errorf("heard %q", got)
		}
	}
}

func TestFeed_WithoutRedisEverythingFails(t *testing.T) {
	t.Parallel()
	line, url := storagetest.NewLine(t, storagetest.Redis(t))
	f := feed(t, url, storagetest.Namespace(t), "one")
	line.Cut()
	if _, err := f.Report(t.Context(), nil); err == nil {
		t.Error("it reports")
	}
	if _, err := f.Reports(t.Context()); err == nil {
		t.Error("it has reports")
	}
	if err := f.Publish(t.Context(), nil); err == nil {
		t.Error("it publishes")
	}
	listen(t, f).becomes(false)
}

func TestFeed_ReportsAreThoseOfReplicasThatLive(t *testing.T) {
	t.Parallel()
	url, namespace := storagetest.Redis(t), storagetest.Namespace(t)
	one, two := feed(t, url, namespace, "one"), feed(t, url, namespace, "two")
	read := func() map[routing.ReplicaID][]byte {
		t.Helper()
		reports, err := one.Reports(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return reports
	}
	if got := read(); len(got) != 0 {
		t.Errorf("reports %q", got)
	}
	report(t, one, "old")
	report(t, one, "1")
	report(t, two, "2\x00")
	if got := read(); len(got) != 2 || string(got["one"]) != "1" || string(got["two"]) != "2\x00" {
		t.Errorf("reports %q", got)
	}
	redis := client(t, url)
	key := "busbar:{" + namespace + "}:reports"
	for _, name := range []string{key, key + ":two"} {
		if left := redis.PTTL(t.Context(), name).Val(); left <= 0 || left > time.Minute {
			t.Errorf("%s expires in %v", name, left)
		}
	}
	// As when it has expired.
	if err := redis.Del(t.Context(), key+":two").Err(); err != nil {
		t.Fatal(err)
	}
	if got := read(); !slices.Equal(slices.Collect(maps.Keys(got)), []routing.ReplicaID{"one"}) {
		t.Errorf("reports %q", got)
	}
	if left := redis.SMembers(t.Context(), key).Val(); !slices.Equal(left, []string{"one"}) {
		t.Errorf("replicas %q", left)
	}
}

// Two recorders on one Redis: who listens at one hears the other, and the figures
// are those of both.
func TestFeed_CarriesAJournal(t *testing.T) {
	t.Parallel()
	url, namespace := storagetest.Redis(t), storagetest.Namespace(t)
	start := func(id routing.ReplicaID) *journal.Recorder {
		ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
		r := journal.New(journal.Config{Feed: feed(t, url, namespace, id), Replica: id})
		var running sync.WaitGroup
		running.Go(func() { r.Run(ctx) })
		t.Cleanup(func() { cancel(); running.Wait() })
		return r
	}
	one, two := start("one"), start("two")
	from, err := ocpi.ParseParty("NLCPA")
	if err != nil {
		t.Fatal(err)
	}
	pass := func(r *journal.Recorder, id string) {
		r.Record(&routing.Message{
			Time: time.Now(), CorrelationID: id, Module: ocpi.ModuleSessions, From: from, Path: "/NL/CPA/S1",
			Plan: routing.PlanDirect, Outcome: routing.OutcomeOK, HTTPStatus: 200,
		})
	}
	listener := two.Subscribe(t.Context(), journal.Filter{From: from}, 0)
	pass(one, "one's") // may be before one knows of the listener
	pass(two, "two's")
	heard := map[string]int{}
	for len(heard) < 2 {
		if e := <-listener.Events; e.Message != nil {
			heard[e.Message.CorrelationID]++
		}
	}
	pass(one, "last")
	for {
		if e := <-listener.Events; e.Message != nil {
			if heard[e.Message.CorrelationID]++; e.Message.CorrelationID == "last" {
				break
			}
		}
	}
	if heard["one's"] != 1 || heard["two's"] != 1 || listener.Lost() != 0 || listener.Partial() {
		t.Errorf("heard %v", heard)
	}
	for {
		f := one.Figures(t.Context())
		if f.Total.Messages == 3 && len(f.Replicas) == 2 && !f.Partial {
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("%d messages, replicas %+v", f.Total.Messages, f.Replicas)
		case <-time.After(20 * time.Millisecond): // real servers' clocks
		}
	}
}
