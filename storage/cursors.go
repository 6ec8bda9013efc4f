package storage

import (
	"encoding/base64"

	"busbar/routing"
	"busbar/storage/seal"
)

// cursors seals what a cursor holds, as text that may stand in a URL.
type cursors struct{ sealer *seal.Sealer }

var _ routing.Sealer = cursors{}

// Seal implements routing.Sealer.
func (c cursors) Seal(text, context string) (string, error) {
	sealed, err := c.sealer.Seal(text, seal.Cursor, context)
	if err != nil {
		return "", err
	}
	return recode(sealed, base64.RawStdEncoding, base64.RawURLEncoding)
}

// Open implements routing.Sealer. It fails with seal.ErrUnknownKey or
// seal.ErrDamaged.
func (c cursors) Open(sealed, context string) (string, error) {
	sealed, err := recode(sealed, base64.RawURLEncoding, base64.RawStdEncoding)
	if err != nil {
		return "", err
	}
	return c.sealer.Open(sealed, seal.Cursor, context)
}

func recode(s string, from, to *base64.Encoding) (string, error) {
	raw, err := from.Strict().DecodeString(s)
	if err != nil {
		return "", seal.ErrDamaged
	}
	return to.EncodeToString(raw), nil
}
