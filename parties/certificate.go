package parties

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"strings"
)

// CertificateKey names the public key of a client certificate: "sha256:" and the
// SHA-256, in lower-case hexadecimal, of its SubjectPublicKeyInfo. A certificate
// that is renewed with the same key keeps it.
type CertificateKey string

const certificateKeyPrefix = "sha256:"

// KeyOfCertificate is the key of a certificate.
func KeyOfCertificate(c *x509.Certificate) CertificateKey {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return CertificateKey(certificateKeyPrefix + hex.EncodeToString(sum[:]))
}

// ParseCertificateKey reads a key. Upper case and the colons between bytes that
// some tools write make no difference.
func ParseCertificateKey(s string) (CertificateKey, error) {
	digits, ok := strings.CutPrefix(strings.ToLower(s), certificateKeyPrefix)
	raw, err := hex.DecodeString(strings.ReplaceAll(digits, ":", ""))
	if !ok || err != nil || len(raw) != sha256.Size {
		return "", errors.New("must be sha256: and 64 hexadecimal digits, the SHA-256 of the certificate's SubjectPublicKeyInfo")
	}
	return CertificateKey(certificateKeyPrefix + hex.EncodeToString(raw)), nil
}
