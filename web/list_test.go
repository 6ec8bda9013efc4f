package web_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"busbar/ocpi"
)

// in is the same site for a subtest.
func (s *site) in(t *testing.T) *view { return &view{site: s, t: t} }

// view lets a subtest report its own failures.
type view struct {
	*site
	t *testing.T
}

func (v *view) call(method, path, body string) answer {
	v.t.Helper()
	got := v.site.call(method, path, body)
	got.t = v.t
	return got
}

type page struct {
	Items []platform `json:"items"`
	Next  string     `json:"next"`
}

func (s *site) page(query string) page {
	s.t.Helper()
	var p page
	s.call("GET", "/api/v1/platforms"+query, "").want(http.StatusOK).decode(&p)
	return p
}

// names are those of the platforms in one page.
func (s *site) names(query string) []string {
	s.t.Helper()
	names := []string{}
	for _, p := range s.page(query).Items {
		names = append(names, p.Name)
	}
	return names
}

// opens tells whether a token lets a platform in.
func (s *site) opens(token string) bool {
	s.t.Helper()
	parsed, err := ocpi.ParseCredentialsToken(token)
	if err != nil {
		s.t.Fatal(err)
	}
	_, ok := s.directory.Snapshot().Authenticate(parsed.Authorization(ocpi.TokenBase64), time.Now())
	return ok
}

func TestList_EmptyIsAList(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if p := s.page(""); p.Items == nil || len(p.Items) > 0 || p.Next != "" {
		t.Errorf("page %+v", p)
	}
}

func TestList_PagesByCursor(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var want []string
	for i := range 5 {
		want = append(want, s.create(fmt.Sprint("platform ", i), fmt.Sprintf("NLC%02d CPO", i)).Name)
	}
	for _, limit := range []int{1, 2, 4, 5, 1000} {
		var got []string
		for cursor, pages := "", 0; ; pages++ {
			p := s.page(fmt.Sprintf("?limit=%d&cursor=%s", limit, url.QueryEscape(cursor)))
			for _, item := range p.Items {
				got = append(got, item.Name)
			}
			if len(p.Items) > limit || pages > 5 {
				t.Fatalf("limit %d: %d items on page %d", limit, len(p.Items), pages)
			}
			if cursor = p.Next; cursor == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("limit %d: %v, want %v", limit, got, want)
		}
	}
}

// What comes and goes between two pages neither repeats nor hides another.
func TestList_StaysWholeWhilePlatformsComeAndGo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ids := map[string]string{}
	for i := range 6 {
		p := s.create(fmt.Sprint(i), fmt.Sprintf("NLC%02d CPO", i))
		ids[p.Name] = p.ID
	}
	first := s.page("?limit=3")
	if first.Next == "" || len(first.Items) != 3 {
		t.Fatalf("first page %+v", first)
	}
	for _, gone := range []string{"0", "2", "3"} { // shown, last shown, next
		s.call("DELETE", "/api/v1/platforms/"+ids[gone], "").want(http.StatusNoContent)
	}
	s.create("6", "NLC06 CPO")
	s.call("PATCH", "/api/v1/platforms/"+ids["1"], `{"name":"1 again"}`).want(http.StatusOK)
	if rest := s.names("?limit=3&cursor=" + first.Next); !slices.Equal(rest, []string{"4", "5", "6"}) {
		t.Errorf("second page %v, want 4, 5, 6", rest)
	}
}

func TestList_ParametersAreChecked(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, limit := range []string{"0", "-1", "1001", "ten", "1.5", "99999999999999999999"} {
		s.call("GET", "/api/v1/platforms?limit="+limit, "").want(http.StatusUnprocessableEntity).wantFields("limit")
	}
	for _, cursor := range []string{"!!", "abc", "bm9wZQ", base64.RawURLEncoding.EncodeToString([]byte("zzzzzzzzzzzzzzzzzzzz id"))} {
		s.call("GET", "/api/v1/platforms?cursor="+cursor, "").want(http.StatusUnprocessableEntity).wantFields("cursor")
	}
}
