package catalog

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// benchLocation has about the size of a real one, 2.8 KB, in five EVSEs.
func benchLocation() []byte {
	var evses []string
	for i := range 5 {
		evses = append(evses, fmt.Sprintf(`{"uid":"2385566eb69640f092c0901e209fbe2d-%d","images":null,"status":"AVAILABLE","evse_id":"NL*TNM*EGL31*1*5845*01*%d","connectors":[{"id":"7056%d","format":"CABLE","standard":"IEC_62196_T2_COMBO","power_type":"DC","tariff_ids":["PP358367698_7"],"max_voltage":500,"last_updated":"2026-06-06T21:35:33Z","max_amperage":300,"max_electric_power":150000,"terms_and_conditions":null}],"directions":null,"coordinates":null,"floor_level":null,"capabilities":["REMOTE_START_STOP_CAPABLE"],"last_updated":"2026-06-07T18:40:07Z","status_schedule":null,"physical_reference":"01-2","parking_restrictions":[]}`, i, i, i))
	}
	return []byte(own + `,"publish":true,"name":"Laadplein","address":"Straat 8","city":"Stad","postal_code":"9461VA","country":"NLD","coordinates":{"latitude":"52.999552","longitude":"6.756642"},"evses":[` +
		strings.Join(evses, ",") + `],"operator":{"name":"TNM","website":"https://example.com/"},"time_zone":"Europe/Amsterdam","opening_times":{"twentyfourseven":true},"last_updated":"2026-06-07T18:40:07Z"}`)
}

var benchPatch = to("PATCH", "LOC1/2385566eb69640f092c0901e209fbe2d-2", `{"status":"CHARGING","last_updated":"2026-06-08T00:00:00Z"}`)

// BenchmarkPatchEVSE is what an EVSE's PATCH costs but for the record
// and the packing (P6).
func BenchmarkPatchEVSE(b *testing.B) {
	old := benchLocation()
	b.ReportAllocs()
	for b.Loop() {
		p, refusal := check(benchPatch)
		if refusal != nil {
			b.Fatal(refusal)
		}
		if m, refusal := p.merge(old); refusal != nil || !m.changed {
			b.Fatal(refusal)
		}
	}
}

// BenchmarkPatchEVSEPacked is the same out of memory and back.
func BenchmarkPatchEVSEPacked(b *testing.B) {
	s := newShelf()
	s.packer.use(makeDictionary([][]byte{benchLocation()}))
	blob := s.blob("loc1", benchLocation())
	b.ReportAllocs()
	for b.Loop() {
		p, refusal := check(benchPatch)
		if refusal != nil {
			b.Fatal(refusal)
		}
		m, refusal := p.merge(unpackBlob(nil, s.packer.dicts, blob))
		if refusal != nil {
			b.Fatal(refusal)
		}
		s.blob("loc1", m.document)
	}
}

// BenchmarkPatchEVSEByMaps is the naive way.
func BenchmarkPatchEVSEByMaps(b *testing.B) {
	old := benchLocation()
	b.ReportAllocs()
	for b.Loop() {
		var location, patch map[string]any
		if json.Unmarshal(old, &location) != nil || json.Unmarshal(benchPatch.Body, &patch) != nil {
			b.Fatal("no JSON")
		}
		for _, e := range location["evses"].([]any) {
			if evse := e.(map[string]any); evse["uid"] == benchPatch.EVSE {
				for name, value := range patch {
					evse[name] = value
				}
			}
		}
		location["last_updated"] = patch["last_updated"]
		if _, err := json.Marshal(location); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPutLocation(b *testing.B) {
	old := benchLocation()
	w := to("PUT", "LOC1", strings.Replace(string(old), "AVAILABLE", "CHARGING", 1))
	b.ReportAllocs()
	for b.Loop() {
		p, refusal := check(w)
		if refusal != nil {
			b.Fatal(refusal)
		}
		if m, refusal := p.merge(old); refusal != nil || !m.changed {
			b.Fatal(refusal)
		}
	}
}
