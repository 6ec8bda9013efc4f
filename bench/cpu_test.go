//go:build linux

package main

import (
	"slices"
	"testing"
	"testing/fstest"
	"time"
)

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

// fakeProc is an nginx with two workers, and a stranger.
func fakeProc() proc {
	return proc{fstest.MapFS{
		"uptime":                file("1 1\n"),
		"10/stat":               file("10 (nginx: master) S 1 10 10 0 -1\n"),
		"10/task/10/schedstat":  file("1000 5 7\n"),
		"11/stat":               file("11 (a) b) (c) S 10 10 10 0 -1\n"),
		"11/task/11/schedstat":  file("20000 5 7\n"),
		"11/task/111/schedstat": file("300000 5 7\n"),
		"12/stat":               file("12 (worker) R 11 10 10 0 -1\n"),
		"12/task/12/schedstat":  file("4000000 5 7\n"),
		"13/stat":               file("13 (stranger) R 1 13 13 0 -1\n"),
		"13/task/13/schedstat":  file("50000000 5 7\n"),
	}}
}

func TestFamilyIsAProcessAndItsDescendants(t *testing.T) {
	t.Parallel()
	pids, err := fakeProc().family(10)
	if err != nil {
		t.Fatal(err)
	}
	if want := []int{10, 11, 12}; !slices.Equal(pids, want) {
		t.Errorf("family %v, want %v", pids, want)
	}
}

func TestCPUSumsAllThreads(t *testing.T) {
	t.Parallel()
	got, err := fakeProc().cpu([]int{10, 11, 12})
	if err != nil {
		t.Fatal(err)
	}
	if want := 4_321_000 * time.Nanosecond; got != want {
		t.Errorf("CPU %v, want %v", got, want)
	}
	if _, err := fakeProc().cpu([]int{99}); err == nil {
		t.Error("a process that is gone has no CPU")
	}
}

func TestRunTime(t *testing.T) {
	t.Parallel()
	if got, err := runTime([]byte("1107368 60039 1\n")); err != nil || got != 1107368 {
		t.Errorf("run time %d, %v", got, err)
	}
	for _, bad := range []string{"", "1 2", "x 2 3"} {
		if _, err := runTime([]byte(bad)); err == nil {
			t.Errorf("%q passes for a schedstat", bad)
		}
	}
}
