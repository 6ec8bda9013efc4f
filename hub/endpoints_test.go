package hub_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"busbar/hub/hubtest"
)

// What the hub can make nothing of, and the platform's roles do not need, keeps
// nobody out; the log says what it is.
func TestC3_MalformedEndpointsArePassedOver(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	p := h.NewPlatform("cpo", "NL/CPA:CPO")
	p.Intercepts(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/ocpi/2.2.1" {
			return false
		}
		fmt.Fprintf(w, `{"status_code":1000,"data":{"version":"2.2.1","endpoints":[
			{"identifier":"locations","role":"BOTH","url":"http://x.test/l"},
			{"identifier":"locations","role":"SENDER","url":"%[1]s/sender/locations"},
			{"identifier":"","role":"SENDER","url":"%[1]s/x"}, {"identifier":"com.example","role":"SENDER","url":7}, 5, null,
			{"identifier":"com.example","role":"SENDER","url":"/relative"},
			{"identifier":"locations","role":"RECEIVER","url":""}, {"identifier":"hubclientinfo","role":"RECEIVER","url":""},
			{"identifier":"tokens","url":"%[1]s/receiver/tokens"}, {"identifier":"com.example","url":"%[1]s/example"}]}}`, p.Server.URL)
		return true
	})
	p.Register()
	_, shown := h.Admin("GET", "/api/v1/platforms/"+p.ID, nil)
	var got []string
	for _, e := range shown["endpoints"].([]any) {
		got = append(got, fmt.Sprint(e.(map[string]any)["identifier"], " ", e.(map[string]any)["role"]))
	}
	want := []string{"locations SENDER", "tokens RECEIVER", "com.example SENDER", "com.example RECEIVER"}
	if !slices.Equal(got, want) {
		t.Errorf("endpoints %q, want %q", got, want)
	}
	if log := h.Log.String(); strings.Count(log, "endpoints of a platform are passed over") != 1 || !strings.Contains(log, "platform="+p.ID) ||
		!strings.Contains(log, "endpoints[0].role (locations)") || !strings.Contains(log, "endpoints[7].url (locations)") {
		t.Errorf("the log does not say what was passed over:\n%s", log)
	}
}
