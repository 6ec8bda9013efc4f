//go:build linux

package main

import "testing"

func TestPartnersPollWhereTheyHaveCores(t *testing.T) {
	t.Parallel()
	four, two := layout([]int{0, 1, 2, 3}), layout([]int{0, 1})
	for _, c := range []struct {
		name  string
		flag  string
		cores cores
		want  waiting // empty: refused
	}{
		{"four cores: poll", "", four, polling},
		{"two cores: block", "", two, blocking},
		{"four cores, told to block", "block", four, blocking},
		{"four cores, told to poll", "poll", four, polling},
		{"two cores, told to poll: would steal", "poll", two, ""},
	} {
		w, err := parseWaiting(c.flag)
		if err != nil {
			t.Fatal(err)
		}
		got, err := w.on(c.cores)
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%s: %q, %v", c.name, string(got), err)
		}
	}
	if _, err := parseWaiting("sleep"); err == nil {
		t.Error("sleep passes for a way to wait")
	}
}

func TestReportTellsHowPartnersWait(t *testing.T) {
	t.Parallel()
	wantLines(t, polling.String(), "partners poll")
	wantLines(t, blocking.String(), "partners block")
}
