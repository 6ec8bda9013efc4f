package catalog_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"busbar/catalog"
	"busbar/ocpi"
)

// shared opens a file of real data that lies beside the repository, or beside
// the place of its work trees. It says so when there is none.
func shared(tb testing.TB, name string) []byte {
	tb.Helper()
	for _, dir := range []string{"../../shared/data", "../../../shared/data"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			tb.Fatal(err)
		}
		return b
	}
	tb.Logf("../../shared/data/%s does not exist: nothing is tested with real data", name)
	return nil
}

// dutch are the Locations of the Dutch national access point.
func dutch(tb testing.TB) (documents [][]byte) {
	tb.Helper()
	packed := shared(tb, "locations/nl-ndw-5k.jsonl.gz")
	if packed == nil {
		return nil
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		tb.Fatal(err)
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		documents = append(documents, bytes.Clone(lines.Bytes()))
	}
	if lines.Err() != nil {
		tb.Fatal(lines.Err())
	}
	return documents
}

// others are the objects of the other files, each as its own bytes.
func others(t *testing.T) (documents [][]byte) {
	for _, name := range []string{
		"lt-lakd-2024-06-06", "swlb-ludwigsburg", "ocpi_2_1_1_locations-fastned", "ocpi_2_2_1_locations-ezvolt",
		"ocpi_2_2_1_locations-greems", "ocpi_2_2_1_locations-toger", "ocpi_2_2_locations-evio", "ocpi_2_2_locations-gaia",
	} {
		b := shared(t, "locations/"+name+".json")
		if b == nil {
			return nil
		}
		var list []json.RawMessage
		if json.Unmarshal(b, &list) != nil {
			var envelope struct{ Data, Items []json.RawMessage }
			if err := json.Unmarshal(b, &envelope); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			list = append(envelope.Data, envelope.Items...)
		}
		for _, raw := range list {
			documents = append(documents, raw)
		}
	}
	return documents
}

// named is what a document says of itself; what is missing is made up.
type named struct {
	CountryCode string          `json:"country_code"`
	PartyID     string          `json:"party_id"`
	ID          json.RawMessage `json:"id"`
	LastUpdated string          `json:"last_updated"`
	EVSEs       []struct {
		UID json.RawMessage `json:"uid"`
	} `json:"evses"`
}

func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return string(raw)
	}
	return s
}

func push(t *testing.T, document []byte) (catalog.Write, named) {
	var n named
	if err := json.Unmarshal(document, &n); err != nil {
		t.Fatal(err)
	}
	owner, err := ocpi.ParsePartyKey(n.CountryCode, n.PartyID)
	if err != nil {
		owner = party("XXOTH")
	}
	return catalog.Write{Method: "PUT", Module: ocpi.ModuleLocations, Owner: owner, ID: text(n.ID), Body: document, Received: time.Now()}, n
}

// TestF5_RealLocations pushes what real operators publish, patches an EVSE of
// each, and lists it: nothing but the patch differs.
func TestF5_RealLocations(t *testing.T) {
	t.Parallel()
	documents := others(t)
	for i, document := range dutch(t) {
		if i%4 == 0 { // all of them take long under the race detector
			documents = append(documents, document)
		}
	}
	if len(documents) == 0 {
		return
	}
	synctest.Test(t, func(t *testing.T) {
		c := running(t, newRecord())
		pushed := map[catalog.Key]int{}
		for i, document := range documents {
			w, n := push(t, document)
			a := apply(t, c, w)
			pushed[a.Key] = i
			if len(n.EVSEs) == 0 || text(n.EVSEs[0].UID) == "" {
				continue
			}
			w.Method, w.EVSE = "PATCH", text(n.EVSEs[0].UID)
			w.Body = []byte(`{"hub_test":"put here","last_updated":"2001-01-01T00:00:00Z"}`)
			if a := apply(t, c, w); !a.Changed || a.Created {
				t.Fatalf("%+v", a)
			}
		}
		q, listed := catalog.Query{Module: ocpi.ModuleLocations, Limit: 100}, 0
		for {
			page, info, err := c.AppendPage([]byte("["), q)
			if err != nil {
				t.Fatal(err)
			}
			if err := ocpi.CheckJSON(append(append(page, info.Shared...), ']')); err != nil {
				t.Fatal(err)
			}
			if info.Total != len(pushed) {
				t.Fatalf("total %d of %d", info.Total, len(pushed))
			}
			listed += info.Objects
			if q.After = info.Next; q.After == 0 {
				break
			}
		}
		if listed != len(pushed) {
			t.Errorf("listed %d of %d", listed, len(pushed))
		}
		for k, i := range pushed {
			document, _ := c.Document(k)
			if want, got := patchedByMaps(t, documents[i], k), decode(t, document); !reflect.DeepEqual(want, got) {
				t.Fatalf("%v (-want +got):\n%s", k, cmp.Diff(want, got))
			}
		}
	})
}

// patchedByMaps does to a document what the catalog did.
func patchedByMaps(t *testing.T, document []byte, k catalog.Key) map[string]any {
	want := decode(t, document)
	for name, value := range map[string]string{"country_code": k.Owner.CountryCode(), "party_id": k.Owner.PartyID()} {
		if want[name] == nil {
			want[name] = value
		}
	}
	evses, _ := want["evses"].([]any)
	if len(evses) == 0 {
		return want
	}
	if evse := evses[0].(map[string]any); evse["uid"] != nil && evse["uid"] != "" {
		evse["hub_test"], evse["last_updated"] = "put here", "2001-01-01T00:00:00Z"
	}
	return want
}

func decode(t *testing.T, document []byte) (m map[string]any) {
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		t.Fatalf("%s: %v", document, err)
	}
	return m
}

func TestF5_RealTariffs(t *testing.T) {
	t.Parallel()
	file := shared(t, "tariffs-nl-ndw.json")
	if file == nil {
		return
	}
	var documents []json.RawMessage
	if err := json.Unmarshal(file, &documents); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		c := running(t, newRecord())
		for _, document := range documents {
			w, _ := push(t, document)
			w.Module = ocpi.ModuleTariffs
			a := apply(t, c, w)
			if kept, _ := c.Document(a.Key); !bytes.Equal(kept, document) {
				t.Fatalf("%s\nis kept as\n%s", document, kept)
			}
			if a := apply(t, c, w); a.Changed || a.Created {
				t.Fatalf("%+v", a)
			}
		}
	})
}

// many makes a row of half a million: a real Location under an id of its own,
// or a made up one of the same size.
func many(tb testing.TB) func(i int) catalog.Row {
	documents := dutch(tb)
	if documents == nil {
		for i := range 1000 {
			documents = append(documents, madeUp(i))
		}
	}
	owners := make([]ocpi.PartyKey, 200)
	for i := range owners {
		owners[i] = party(fmt.Sprintf("NL%03d", i))
	}
	return func(i int) catalog.Row {
		document := documents[i%len(documents)]
		id := fmt.Sprintf("%x-%d", i*0x9e3779b1, i)
		at := bytes.Index(document, []byte(`"id":"`)) + len(`"id":"`)
		document = append(append(bytes.Clone(document[:at]), id...), document[at+bytes.IndexByte(document[at:], '"'):]...)
		changed := time.Date(2026, 1, 1, 0, 0, i, 0, time.UTC)
		return catalog.Row{
			Key: catalog.Key{Module: ocpi.ModuleLocations, Owner: owners[i*7919%len(owners)], ID: id},
			Seq: int64(i + 1), Revision: 1, LastUpdated: changed, ChangedAt: changed, Document: document,
		}
	}
}

func madeUp(i int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"country_code":"NL","party_id":"TNM","id":"x","publish":true,"address":"Straat %d","city":"Stad %d","evses":[`, i*31%997, i%83)
	for e := range 5 {
		if e > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"uid":"%08x-%d","status":"AVAILABLE","evse_id":"NL*TNM*E%d*%d","connectors":[{"id":"%d","format":"CABLE","standard":"IEC_62196_T2_COMBO","power_type":"DC","max_voltage":500,"max_amperage":%d,"last_updated":"2026-06-06T21:%02d:33Z"}],"capabilities":["REMOTE_START_STOP_CAPABLE"],"last_updated":"2026-06-07T18:40:%02dZ"}`,
			i*40503, e, i, e, i%1000, i%400, i%60, i%60)
	}
	b.WriteString(`],"time_zone":"Europe/Amsterdam","last_updated":"2026-06-07T18:40:07Z"}`)
	return b.Bytes()
}
