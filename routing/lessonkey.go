package routing

import (
	"crypto/sha256"
)

// longestKey bounds the ids that are learned, together: OCPI's have at most 36
// characters, and peers are a little freer.
const longestKey = 200

// lessonKey hashes a kind and its ids, of which one may be empty. Ids are
// CiStrings, so case is folded (F3). ok is false for ids that are too long, or
// none at all. It does not allocate.
func lessonKey(kind LessonKind, first, second string) (_ LessonKey, ok bool) {
	if len(kind)+len(first)+len(second)+2 > longestKey || first == "" {
		return LessonKey{}, false
	}
	var text [longestKey]byte
	n := copy(text[:], kind) + 1 // parts are kept apart by a NUL, which no id holds
	n += fold(text[n:], first) + 1
	n += fold(text[n:], second)
	sum := sha256.Sum256(text[:n])
	return LessonKey(sum[:len(LessonKey{})]), true
}

// lessonKeys is a list of the key, or none.
func lessonKeys(key LessonKey, ok bool) []LessonKey {
	if !ok {
		return nil
	}
	return []LessonKey{key}
}

func fold(dst []byte, s string) int {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst[i] = c
	}
	return len(s)
}
