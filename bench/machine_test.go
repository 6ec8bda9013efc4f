//go:build linux

package main

import (
	"slices"
	"testing"
)

func TestLayout(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		allowed []int
		want    cores
	}{
		{"two cores: all share", []int{0, 1}, cores{Count: 2}},
		{"three cores: all share", []int{0, 1, 2}, cores{Count: 3}},
		{"four cores", []int{0, 1, 2, 3}, cores{"0", "1", "2,3", 4}},
		{"only those allowed", []int{4, 6, 7, 9, 12}, cores{"4", "6", "7,9", 5}},
	} {
		if got := layout(c.allowed); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestParseCoreList(t *testing.T) {
	t.Parallel()
	got, err := parseCoreList("0-2,5,8-9")
	if want := []int{0, 1, 2, 5, 8, 9}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	for _, bad := range []string{"", "a", "1-", "1,,2"} {
		if _, err := parseCoreList(bad); err == nil {
			t.Errorf("%q passes for a core list", bad)
		}
	}
}
