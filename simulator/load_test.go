package simulator

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"busbar/ocpi"
)

func TestReadLocations(t *testing.T) {
	t.Parallel()
	one := `{"country_code":"NL","party_id":"KVL","id":"1","last_updated":"2026-01-01T00:00:00Z"}`
	two := strings.Replace(one, `"1"`, `"2"`, 1)
	anonymous := `{"id":"1","evses":[{"evse_id":null},{"evse_id":"%s"}]}`
	tests := []struct{ name, input, want string }{
		{"an array", "[" + one + "," + two + "]", "NLKVL/1 NLKVL/2"},
		{"an empty array", "[]", ""},
		{"JSON lines", one + "\n\n" + two + "\n", "NLKVL/1 NLKVL/2"},
		{"one Location", one, "NLKVL/1"},
		{"an envelope", `{"status_code":1000,"data":[` + one + `]}`, "NLKVL/1"},
		{"an envelope around one object", `{"data":` + one + `}`, "NLKVL/1"},
		{"an envelope per line", `{"data":[` + one + "]}\n{\"data\":[" + two + "]}", "NLKVL/1 NLKVL/2"},
		{"items", `{"next":"x","items":[` + one + `]}`, "NLKVL/1"},
		{"a byte order mark", "\xef\xbb\xbf[" + one + "]", "NLKVL/1"},
		{"an id twice", "[" + one + "," + strings.Replace(one, "KVL", "kvl", 1) + "]", "NLKVL/1; line 1: Location 1: id stands twice"},
		{"an integer id", `[{"country_code":"LT","party_id":"VSA","id":249}]`, "LTVSA/249"},
		{"no id", `[{"country_code":"LT","party_id":"VSA","id":null}]`, "; line 1: no id"},
		{"no owner", fmt.Sprintf(anonymous, "NLFASE3109302"), "NLFAS/1"},
		{"no owner, stars", fmt.Sprintf(anonymous, "NL*FAS*E31"), "NLFAS/1"},
		{"no owner, lower case and dots", fmt.Sprintf(anonymous, "nl.fas.e31"), "NLFAS/1"},
		{"no owner, another numbering", fmt.Sprintf(anonymous, "VSA-E-9TOX-A"), "XXDEF/1"},
		{"owner null", `[{"country_code":null,"party_id":null,"id":"1","evses":null}]`, "XXDEF/1"},
		{"not an object", "[\n" + one + ",\n7]", "NLKVL/1; line 3: not an object"},
		{"a broken line", one + "\n{\"id\":\n" + two, "NLKVL/1 NLKVL/2; line 2: not JSON"},
		{"an array cut off", "[\n" + one + ",\n{\"id\":", "error: line 3: unexpected end of JSON input"},
		{"an array with a fault", "[\n" + one + ",\n{id:1}]", "error: line 3: invalid character 'i'"},
		{"an envelope cut off", "{\n\"data\":[\n" + one, "error: line 3: unexpected end of JSON input"},
		{"more after the array", "[]\n[]", "error: line 2: data after the list"},
		{"nothing", " \n", "error: it is empty"},
		{"no JSON", "id;name", "error: line 1: invalid character 'i'"},
	}
	for _, test := range tests {
		for _, packed := range []bool{false, true} {
			input := []byte(test.input)
			if packed {
				var b bytes.Buffer
				w := gzip.NewWriter(&b)
				w.Write(input)
				w.Close()
				input = b.Bytes()
			}
			loaded, err := ReadLocations(bytes.NewReader(input), key("XXDEF"))
			if got := told(loaded, err); !strings.HasPrefix(got, test.want) || len(test.want) == 0 && got != "" {
				t.Errorf("%s (packed %v): %q, want %q", test.name, packed, got, test.want)
			}
		}
	}
}

// told writes what was loaded as the tests above read it.
func told(loaded Loaded, err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	var parts []string
	for _, l := range loaded.Locations {
		parts = append(parts, l.Owner.String()+"/"+l.ID)
	}
	got := strings.Join(parts, " ")
	for _, f := range loaded.Faults {
		got += "; " + f.String()
	}
	return got
}

func TestReadLocationsWithoutFallback(t *testing.T) {
	t.Parallel()
	loaded, err := ReadLocations(strings.NewReader(`[{"id":"1"}]`), ocpi.PartyKey{})
	if err != nil || len(loaded.Locations) != 0 || len(loaded.Skipped) != 1 {
		t.Errorf("%+v, %v", loaded, err)
	}
}

func TestReadLocationsKeepsBytes(t *testing.T) {
	t.Parallel()
	doc := `{"country_code":"NL","party_id":"KVL", "id":7,"x-new":{"a":[1.50,null]},"name":"A & B <c>","last_updated":"2026-01-01 00:00:00"}`
	loaded, err := ReadLocations(strings.NewReader("["+doc+"]"), ocpi.PartyKey{})
	if err != nil || string(loaded.Locations[0].Doc) != doc || loaded.Locations[0].LastUpdated.IsZero() {
		t.Errorf("%+v, %v", loaded, err)
	}
	loaded, err = ReadLocations(strings.NewReader(`{"id":7,"n":1.50,"party_id":null,"evses":[{"evse_id":"NLFASE1"}]}`), ocpi.PartyKey{})
	want := `{"country_code":"NL","party_id":"FAS","id":7,"n":1.50,"evses":[{"evse_id":"NLFASE1"}]}`
	if err != nil || string(loaded.Locations[0].Doc) != want {
		t.Errorf("%+v, %v", loaded, err)
	}
}

func TestLoadLocationsNamesTheFile(t *testing.T) {
	t.Parallel()
	if _, err := LoadLocations("no/such/file", ocpi.PartyKey{}); err == nil || !strings.Contains(err.Error(), "no/such/file") {
		t.Error(err)
	}
	file := filepath.Join(t.TempDir(), "x.json")
	os.WriteFile(file, []byte("{\n{"), 0o600)
	if _, err := LoadLocations(file, ocpi.PartyKey{}); err == nil || !strings.Contains(err.Error(), "x.json: line 2: ") {
		t.Error(err)
	}
}

// TestRealLocations reads the files that are handed around next to the
// repository; they are not part of it.
func TestRealLocations(t *testing.T) {
	t.Parallel()
	const folder = "../../shared/data/locations"
	if _, err := os.Stat(folder); err != nil {
		t.Skip("the real Locations are not here: ", folder)
	}
	tests := []struct {
		file             string
		locations, owner int
		spots            int
	}{
		{"nl-ndw-5k.jsonl.gz", 5233, 32, 13635},
		{"lt-lakd-2024-06-06.json", 591, 46, 1661},
		{"ocpi_2_1_1_locations-fastned.json", 106, 4, 272},
		{"ocpi_2_2_1_locations-ezvolt.json", 91, 1, 222},
		{"ocpi_2_2_1_locations-greems.json", 80, 1, 318},
		{"ocpi_2_2_1_locations-toger.json", 44, 1, 85},
		{"ocpi_2_2_locations-evio.json", 21, 1, 29},
		{"ocpi_2_2_locations-gaia.json", 4, 1, 13},
		{"swlb-ludwigsburg.json", 100, 1, 273},
	}
	for _, test := range tests {
		loaded, err := LoadLocations(filepath.Join(folder, test.file), key("XXDEF"))
		if err != nil {
			t.Error(err)
			continue
		}
		owners, _ := ByOwner(loaded.Locations)
		spots := 0
		for _, l := range loaded.Locations {
			spots += len(l.sites())
			if l.LastUpdated.IsZero() {
				t.Errorf("%s: Location %s has no time", test.file, l.ID)
			}
		}
		if len(loaded.Locations) != test.locations || len(owners) != test.owner || spots != test.spots || len(loaded.Skipped) != 0 {
			t.Errorf("%s: %d Locations of %d owners with %d EVSEs, skipped %v", test.file, len(loaded.Locations), len(owners), spots, loaded.Skipped)
		}
	}
}

// TestRealLocationsCharge: cars charge at what real CPOs published.
func TestRealLocationsCharge(t *testing.T) {
	t.Parallel()
	const file = "../../shared/data/locations/lt-lakd-2024-06-06.json"
	if _, err := os.Stat(file); err != nil {
		t.Skip("the real Locations are not here: ", file)
	}
	loaded, err := LoadLocations(file, ocpi.PartyKey{})
	if err != nil {
		t.Fatal(err)
	}
	owners, of := ByOwner(loaded.Locations)
	h := newStubHub(t)
	p := h.start(Config{Name: "cpo", Parties: []Party{{PartyRole: ocpi.PartyRole{Party: owners[0], Role: ocpi.RoleCPO}, Locations: of[owners[0]]}}})
	e := h.start(Config{Name: "emsp", Parties: []Party{sampleEMSP("DEZKM")}}).EMSP(key("DEZKM"))
	c := p.CPO(owners[0])
	for i, spot := range c.Spots()[:5] {
		got, err := c.Charge(t.Context(), Arrival{Spot: spot, EMSP: e.Key, TokenUID: cardOf(e, RFID, "").UID})
		if err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		doc, _ := e.CDR(c.Key, got.CDRID)
		satisfies(t, "CDR", doc, cdrRules)
		if err := c.PushStatus(t.Context(), e.Key, spot); err != nil {
			t.Error(err)
		}
	}
}
