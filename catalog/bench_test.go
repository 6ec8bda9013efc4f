package catalog_test

import (
	"runtime"
	"testing"
	"time"

	"busbar/catalog"
	"busbar/ocpi"
)

const half = 500_000 // million

// BenchmarkMemory500k reports what half a million Locations take, beside their
// raw bytes: live, and as the process grew.
func BenchmarkMemory500k(b *testing.B) {
	row, raw := many(b), 0
	for i := range 5233 {
		raw += len(row(i).Document)
	}
	raw = raw / 5233 * half
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		began := time.Now()
		c := loaded(b, half, row)
		b.ReportMetric(time.Since(began).Seconds(), "s/load")
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.Sys-before.Sys)/float64(raw), "grown/raw")
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(raw), "live/raw")
		runtime.KeepAlive(c)
	}
}

// BenchmarkPage500k measures pages of 100 out of half a million (P5): cold, as
// the first who asks gets them, and asked for again and again.
func BenchmarkPage500k(b *testing.B) {
	for _, cache := range []struct {
		name  string
		bytes int
	}{{"cold", -1}, {"again", 0}} {
		b.Run(cache.name, func(b *testing.B) { benchmarkPages(b, cache.bytes) })
	}
}

func benchmarkPages(b *testing.B, cache int) {
	c := cached(b, cache, half, many(b))
	buf := make([]byte, 0, 1<<20)
	for _, bb := range []struct {
		name string
		q    catalog.Query
	}{
		{"first", catalog.Query{}},
		{"last", catalog.Query{After: half - 101}},
		{"middleByOffset", catalog.Query{Offset: half / 2}},
		{"oneOwnerOf200", catalog.Query{Owners: func(k ocpi.PartyKey) bool { return k == party("NL007") }}},
		{"dated", catalog.Query{From: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC), To: time.Date(2026, 1, 4, 0, 0, 0, 0, time.UTC)}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			q := bb.q
			q.Module, q.Limit = ocpi.ModuleLocations, 100
			b.ReportAllocs()
			for b.Loop() {
				out, page, err := c.AppendPage(buf, q)
				if err != nil || page.Objects != 100 {
					b.Fatal(err, page)
				}
				b.SetBytes(int64(len(out) + len(page.Shared)))
			}
		})
	}
}
