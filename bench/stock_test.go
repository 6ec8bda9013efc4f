//go:build linux

package main

import (
	"bytes"
	"io"
	"testing"
	"testing/fstest"
)

func bytesReader(b []byte) io.Reader { return bytes.NewReader(b) }

func TestNextPage(t *testing.T) {
	t.Parallel()
	for link, want := range map[string]string{
		`<http://h:1/ocpi/2.2.1/sender/locations?limit=100&cursor=a>; rel="next"`: "/ocpi/2.2.1/sender/locations?limit=100&cursor=a",
		`<http://h/x>; rel="prev"`: "",
		"":                         "",
	} {
		if got := nextPage(link); got != want {
			t.Errorf("%q leads to %q, want %q", link, got, want)
		}
	}
}

func TestSucceeded(t *testing.T) {
	t.Parallel()
	large := append(bytes.Repeat([]byte(" "), 100<<10), `],"status_code":1000,"timestamp":"2026-01-01T00:00:00Z"}`...)
	for _, c := range []struct {
		name string
		body []byte
		want bool
	}{
		{"a 1000", []byte(`{"status_code" : 1000}`), true},
		{"a 2001", []byte(`{"status_code":2001}`), false},
		{"a page", large, true},
		{"a page that failed", bytes.Replace(large, []byte("1000"), []byte("3000"), 1), false},
	} {
		if got := succeeded(c.body); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestMemoryIsTheProportionalSetSize(t *testing.T) {
	t.Parallel()
	p := proc{fstest.MapFS{
		"7/smaps_rollup": file("00400000-7ffc [rollup]\nRss:     999 kB\nPss:                 123 kB\nPss_Dirty: 5 kB\n"),
		"8/smaps_rollup": file("nothing\n"),
	}}
	if got, err := p.memory(7); err != nil || got != 123<<10 {
		t.Errorf("%d bytes, %v", got, err)
	}
	for _, pid := range []int{8, 9} {
		if _, err := p.memory(pid); err == nil {
			t.Errorf("process %d has a size", pid)
		}
	}
}

func TestConnectedOf(t *testing.T) {
	t.Parallel()
	metrics := "# HELP x\nbusbar_platforms{status=\"CONNECTED\"} 104\nbusbar_platforms{status=\"OFFLINE\"} 5\n"
	if n, err := connectedOf([]byte(metrics)); err != nil || n != 104 {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := connectedOf([]byte("up 1\n")); err == nil {
		t.Error("no platforms are some")
	}
}

func TestReadBenchmarks(t *testing.T) {
	t.Parallel()
	got := readBenchmarks("goos: linux\nBenchmarkPatchEVSE       \t   59690\t      5123.5 ns/op\t  3200 B/op\nBenchmarkPatchEVSEByMaps-4 \t 2000\t 104000 ns/op\nPASS\n")
	if len(got) != 2 || got[patchBenchmark] != 5123.5 || got[mapsBenchmark] != 104000 {
		t.Errorf("read %v", got)
	}
}

func TestNginxServesFilesAsDebianShipsIt(t *testing.T) {
	t.Parallel()
	conf := nginxFileConf(nginxSettings{Dir: "/run/x", Addr: "127.0.0.1:7"}, "/run/files")
	wantLines(t, conf, "\tsendfile on;\n\ttcp_nopush on;\n", "\t\troot /run/files;\n", "listen 127.0.0.1:7 reuseport;")
}

func TestMarketHasHangingReceivers(t *testing.T) {
	t.Parallel()
	f := newMarket(4, 100, 5)
	target := f.target("")
	if len(target.Callers) != 4 || len(target.Receivers) != 100 {
		t.Errorf("%d callers, %d receivers", len(target.Callers), len(target.Receivers))
	}
	hang := 0
	for _, p := range f {
		if len(p.Name) > len(hanging) && p.Name[:len(hanging)] == hanging {
			hang++
		}
	}
	if hang != 5 {
		t.Errorf("%d hang, want 5", hang)
	}
}
