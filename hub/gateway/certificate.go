package gateway

import (
	"github.com/valyala/fasthttp"

	"busbar/parties"
)

// showsCertificate tells that the requester presented the client certificate that
// is bound to it, if one is. The TLS stack has checked that it was signed by
// BUSBAR_TLS_CLIENT_CA and that the requester has its key. Behind a proxy that
// ends TLS there is no certificate to see, and a bound platform is refused.
func showsCertificate(c *fasthttp.RequestCtx, bound parties.CertificateKey) bool {
	if bound == "" {
		return true
	}
	state := c.TLSConnectionState()
	return state != nil && len(state.VerifiedChains) > 0 && len(state.PeerCertificates) > 0 &&
		parties.KeyOfCertificate(state.PeerCertificates[0]) == bound
}
