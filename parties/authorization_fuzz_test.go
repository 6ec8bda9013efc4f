package parties

import (
	"strings"
	"testing"
	"time"

	"busbar/ocpi"
	"busbar/ocpi/peer"
)

// FuzzAuthenticate: only a header that holds a platform's token, in one of the
// forms that peers write it in, opens anything.
func FuzzAuthenticate(f *testing.F) {
	token := ocpi.NewCredentialsToken()
	directory := NewDirectory(peer.NewDialer(peer.DialerConfig{}))
	directory.Apply(Platform{
		ID: "p", Revision: 1, Status: ocpi.Connected,
		Inbound: []InboundToken{{Hash: token.Hash(), Kind: TokenAccess}},
	}, 1)
	right := map[string]bool{token.Reveal(): true}
	for _, form := range []ocpi.TokenForm{ocpi.TokenBase64, ocpi.TokenPlain} {
		header := token.Authorization(form)
		right[strings.TrimPrefix(header, "Token ")] = true
		if _, ok := directory.Snapshot().Authenticate(header, time.Unix(0, 0)); !ok {
			f.Fatalf("the platform's own token is not known in form %s", form)
		}
		f.Add(header)
	}
	for _, seed := range []string{"", "Token ", "Token a", "token\t=", "Bearer abc", strings.Repeat("Token ", 50)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		caller, ok := directory.Snapshot().Authenticate(header, time.Unix(0, 0))
		if !ok {
			return
		}
		if caller.Platform.ID != "p" {
			t.Fatalf("%q is %s", header, caller.Platform.ID)
		}
		for value := range right {
			if strings.Contains(header, strings.TrimRight(value, "=")) {
				return
			}
		}
		t.Errorf("%q opens the hub, and does not hold the token", header)
	})
}
