package simulator

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"busbar/ocpi"
)

// rule is a field that an object must have: its path ("evses[].uid") and what
// its value must look like. The tables are the specification's, Card. 1 and +.
type rule struct {
	path string
	kind kind
}

type kind string

const (
	aText    kind = "text"
	aNumber  kind = "number"
	aBool    kind = "bool"
	aTime    kind = "DateTime"
	aList    kind = "list of one or more"
	anObject kind = "object"
	aPlace   kind = "latitude or longitude"
)

var placeRule = regexp.MustCompile(`^-?[0-9]{1,3}\.[0-9]{5,7}$`)

func under(prefix string, rules ...rule) []rule {
	out := make([]rule, len(rules))
	for i, r := range rules {
		out[i] = rule{prefix + r.path, r.kind}
	}
	return out
}

func all(groups ...[]rule) []rule {
	var out []rule
	for _, g := range groups {
		out = append(out, g...)
	}
	return out
}

var (
	ownerRules = []rule{{"country_code", aText}, {"party_id", aText}, {"last_updated", aTime}}
	// 2.2.1 mod_locations, Object description.
	locationRules = all(ownerRules, []rule{
		{"id", aText}, {"publish", aBool}, {"address", aText}, {"city", aText}, {"country", aText}, {"coordinates", anObject},
		{"coordinates.latitude", aPlace}, {"coordinates.longitude", aPlace}, {"time_zone", aText},
		{"opening_times.twentyfourseven", aBool}, {"operator.name", aText},
	}, under("evses[].", rule{"uid", aText}, rule{"status", aText}, rule{"connectors", aList}, rule{"last_updated", aTime}),
		under("evses[].connectors[].", rule{"id", aText}, rule{"standard", aText}, rule{"format", aText}, rule{"power_type", aText},
			rule{"max_voltage", aNumber}, rule{"max_amperage", aNumber}, rule{"last_updated", aTime}))
	// 2.2.1 mod_tariffs, Object description.
	tariffRules = all(ownerRules, []rule{{"id", aText}, {"currency", aText}, {"elements", aList}, {"elements[].price_components", aList}},
		under("elements[].price_components[].", rule{"type", aText}, rule{"price", aNumber}, rule{"step_size", aNumber}))
	// 2.2.1 mod_tokens, Token object.
	tokenRules = all(ownerRules, []rule{
		{"uid", aText}, {"type", aText}, {"contract_id", aText}, {"issuer", aText}, {"valid", aBool}, {"whitelist", aText},
	})
	// 2.2.1 mod_cdrs, CdrToken and ChargingPeriod.
	cdrTokenRules = under("cdr_token.", rule{"country_code", aText}, rule{"party_id", aText}, rule{"uid", aText}, rule{"type", aText}, rule{"contract_id", aText})
	periodRules   = under("charging_periods[].", rule{"start_date_time", aTime}, rule{"dimensions", aList}, rule{"dimensions[].type", aText}, rule{"dimensions[].volume", aNumber})
	// 2.2.1 mod_sessions, Session object.
	sessionRules = all(ownerRules, cdrTokenRules, periodRules, []rule{
		{"id", aText}, {"start_date_time", aTime}, {"kwh", aNumber}, {"cdr_token", anObject}, {"auth_method", aText},
		{"location_id", aText}, {"evse_uid", aText}, {"connector_id", aText}, {"currency", aText}, {"status", aText},
		{"total_cost.excl_vat", aNumber},
	})
	// 2.2.1 mod_cdrs, CDR object and CdrLocation.
	cdrRules = all(ownerRules, cdrTokenRules, periodRules, under("tariffs[].", tariffRules...), []rule{
		{"id", aText}, {"start_date_time", aTime}, {"end_date_time", aTime}, {"cdr_token", anObject}, {"auth_method", aText},
		{"cdr_location", anObject}, {"currency", aText}, {"charging_periods", aList}, {"total_cost", anObject},
		{"total_cost.excl_vat", aNumber}, {"total_energy", aNumber}, {"total_time", aNumber},
	}, under("cdr_location.", rule{"id", aText}, rule{"address", aText}, rule{"city", aText}, rule{"country", aText},
		rule{"coordinates.latitude", aPlace}, rule{"coordinates.longitude", aPlace}, rule{"evse_uid", aText}, rule{"evse_id", aText},
		rule{"connector_id", aText}, rule{"connector_standard", aText}, rule{"connector_format", aText}, rule{"connector_power_type", aText}))
)

// satisfies checks a document against rules.
func satisfies(t *testing.T, what string, doc []byte, rules []rule) {
	t.Helper()
	var v any
	if err := json.Unmarshal(doc, &v); err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	for _, r := range rules {
		if err := follow(v, strings.Split(r.path, "."), r.kind); err != nil {
			t.Errorf("%s: %s: %v\n%s", what, r.path, err, doc)
		}
	}
}

func follow(v any, path []string, want kind) error {
	if len(path) == 0 {
		return want.check(v)
	}
	o, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("%v is no object", v)
	}
	name, each := strings.CutSuffix(path[0], "[]")
	v, ok = o[name]
	if !each {
		if !ok {
			return fmt.Errorf("%s is missing", name)
		}
		return follow(v, path[1:], want)
	}
	list, _ := v.([]any)
	for _, item := range list {
		if err := follow(item, path[1:], want); err != nil {
			return err
		}
	}
	return nil
}

func (k kind) check(v any) error {
	ok := false
	switch v := v.(type) {
	case string:
		switch k {
		case aText:
			ok = v != ""
		case aTime:
			_, err := ocpi.ParseTime(v)
			ok = err == nil && len(v) <= 25
		case aPlace:
			ok = placeRule.MatchString(v) && len(v) <= 11
		}
	case float64:
		ok = k == aNumber
	case bool:
		ok = k == aBool
	case []any:
		ok = k == aList && len(v) > 0
	case map[string]any:
		ok = k == anObject
	}
	if !ok {
		return fmt.Errorf("%v is no %s", v, k)
	}
	return nil
}

func TestSampleNetworkIsValidAndTheSameForASeed(t *testing.T) {
	t.Parallel()
	total := 0
	for _, c := range cpoCompanies() {
		for _, of := range c.parties {
			if of.role != ocpi.RoleCPO {
				continue
			}
			locations := sampleLocations(of, key(of.code), 7)
			again := sampleLocations(of, key(of.code), 7)
			for i, l := range locations {
				satisfies(t, of.code+" Location", l.Doc, locationRules)
				if string(l.Doc) != string(again[i].Doc) {
					t.Errorf("%s: the same seed made another Location", of.code)
				}
			}
			total += len(locations)
			for _, tariff := range sampleTariffs(key(of.code), 7) {
				satisfies(t, of.code+" Tariff", encode(tariff), tariffRules)
			}
		}
	}
	if total < 48 {
		t.Errorf("the sample network has %d Locations, want several dozen", total)
	}
	for _, token := range sampleEMSP("NLOOI").Tokens {
		satisfies(t, "Token", encode(token), tokenRules)
	}
	satisfies(t, "standard Tariff", encode(standardTariff(key("NLKVL"), sampleEpoch)), tariffRules)
}
