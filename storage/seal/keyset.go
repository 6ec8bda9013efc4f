package seal

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tink-crypto/tink-go/v2/aead/aesgcm"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/secretdata"
)

// MinSecretLength is the shortest secret accepted, in characters.
const MinSecretLength = 32

const keySize = 32 // bytes: AES-256

// newKeyset makes the keyset and the output prefix of each of its keys, in the
// order of the secrets. The first key is the primary one.
func newKeyset(secrets []string) (*keyset.Handle, []string, error) {
	manager := keyset.NewManager()
	prefixes := make([]string, len(secrets))
	for i, secret := range secrets {
		key, err := deriveKey(secret)
		if err != nil {
			return nil, nil, fmt.Errorf("derive the key of secret %d: %w", i+1, err)
		}
		id, err := manager.AddKey(key)
		if err != nil {
			return nil, nil, fmt.Errorf("add the key of secret %d: %w", i+1, err)
		}
		if i == 0 {
			if err := manager.SetPrimary(id); err != nil {
				return nil, nil, fmt.Errorf("choose the sealing key: %w", err)
			}
		}
		prefixes[i] = string(key.OutputPrefix())
	}
	handle, err := manager.Handle()
	if err != nil {
		return nil, nil, fmt.Errorf("build the keyset: %w", err)
	}
	return handle, prefixes, nil
}

func checkSecrets(secrets []string) ([]string, error) {
	if len(secrets) == 0 {
		return nil, errors.New("no secret to seal with")
	}
	trimmed := make([]string, len(secrets))
	for i, secret := range secrets {
		trimmed[i] = strings.TrimSpace(secret)
		if n := utf8.RuneCountInString(trimmed[i]); n < MinSecretLength {
			return nil, fmt.Errorf("secret %d: must have at least %d characters, has %d", i+1, MinSecretLength, n)
		}
		if first := slices.Index(trimmed[:i], trimmed[i]); first >= 0 {
			return nil, fmt.Errorf("secret %d: is the same as secret %d", i+1, first+1)
		}
	}
	return trimmed, nil
}

// rootOf is what all keys of a secret are derived from.
func rootOf(secret string) ([]byte, error) {
	return hkdf.Extract(sha256.New, []byte(secret), []byte("busbar seal 1"))
}

// deriveKey makes the AES-256-GCM key of one secret, whose id is derived too:
// every replica must write the same prefix.
func deriveKey(secret string) (*aesgcm.Key, error) {
	root, err := rootOf(secret)
	if err != nil {
		return nil, err
	}
	material, err := hkdf.Expand(sha256.New, root, "key", keySize)
	if err != nil {
		return nil, err
	}
	id, err := hkdf.Expand(sha256.New, root, "key id", 4)
	if err != nil {
		return nil, err
	}
	parameters, err := aesgcm.NewParameters(aesgcm.ParametersOpts{
		KeySizeInBytes: keySize, IVSizeInBytes: 12, TagSizeInBytes: 16, Variant: aesgcm.VariantTink,
	})
	if err != nil {
		return nil, err
	}
	return aesgcm.NewKey(
		secretdata.NewBytesFromData(material, insecuresecretdataaccess.Token{}),
		binary.BigEndian.Uint32(id), parameters)
}
