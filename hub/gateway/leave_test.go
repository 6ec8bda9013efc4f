package gateway

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

func TestRequesterContext_EndsWhatFollowsIt(t *testing.T) {
	t.Parallel()
	ctx := &requesterContext{}
	ran := make(chan string, 3)
	ctx.AfterFunc(func() { ran <- "first" })
	ctx.AfterFunc(func() { ran <- "second" })
	context.AfterFunc(ctx, func() { ran <- "by the context package" })
	child, stop := context.WithTimeout(ctx, time.Hour)
	defer stop()
	if ctx.Err() != nil || child.Err() != nil {
		t.Fatal("ended before it was cancelled")
	}
	ctx.cancel()
	ctx.cancel()
	<-ctx.Done()
	<-child.Done()
	if !errors.Is(ctx.Err(), context.Canceled) || !errors.Is(child.Err(), context.Canceled) {
		t.Errorf("errors %v and %v", ctx.Err(), child.Err())
	}
	got := map[string]bool{}
	for range 3 {
		got[<-ran] = true
	}
	if len(got) != 3 {
		t.Errorf("ran %v", got)
	}
	late := make(chan struct{})
	if ctx.AfterFunc(func() { close(late) })() {
		t.Error("what was asked for after the end could be stopped")
	}
	<-late
}

func TestRequesterContext_StoppedMeansNotRun(t *testing.T) {
	t.Parallel()
	ctx := &requesterContext{}
	for i := range 4 { // one after the other, as a repeated call does
		stop := ctx.AfterFunc(func() { t.Errorf("function %d ran", i) })
		if !stop() {
			t.Errorf("function %d could not be stopped", i)
		}
		if stop() {
			t.Errorf("function %d was stopped twice", i)
		}
	}
	ran := make(chan struct{})
	ctx.AfterFunc(func() { close(ran) })
	ctx.cancel()
	<-ran
}

func TestRequesterContext_StopAndCancelAtOnce(t *testing.T) {
	t.Parallel()
	for range 200 {
		ctx := &requesterContext{}
		ran := make(chan struct{})
		stop := ctx.AfterFunc(func() { close(ran) })
		var both sync.WaitGroup
		stopped := false
		both.Go(ctx.cancel)
		both.Go(func() { stopped = stop() })
		both.Wait()
		if !stopped {
			<-ran // exactly one of the two happens
		}
	}
}

func TestConn_MovesADeadlineOnlyByASecond(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	for _, test := range []struct {
		name     string
		from, to time.Time
		want     bool
	}{
		{"the first", time.Time{}, now, true},
		{"the same", now, now, false},
		{"a little later", now, now.Add(999 * time.Millisecond), false},
		{"a second later", now, now.Add(time.Second), true},
		{"earlier", now, now.Add(-time.Nanosecond), true},
		{"none", now, time.Time{}, true},
	} {
		if got := moved(test.from, test.to); got != test.want {
			t.Errorf("%s: got %v", test.name, got)
		}
	}
}

func TestParseTarget_IsLikeTheLibrarys(t *testing.T) {
	t.Parallel()
	for target, ok := range map[string]bool{
		"/ocpi/versions": true, "/ocpi/2.2.1/sender/tokens/a%2Fb?x=%41&y": true, "/a?x=%zz": true,
		"http://hub/ocpi/versions?x": true, "//x/y": true, "/é": true,
		"": false, "ocpi": false, "/a\x01": false, "/%zz": false, "/a\x7f": false,
	} {
		got, err := parseTarget(target)
		if (err == nil) != ok {
			t.Errorf("%q: %v %v", target, got, err)
		}
	}
}
