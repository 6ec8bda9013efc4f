// Package seal keeps secrets unreadable at rest: the tokens with which the hub
// calls its peers stand in the database and in Redis only sealed, and so do the
// URLs of callbacks, and the broadcasts of Tokens that wait to be sent, in the
// database. Cursors, which peers carry, are sealed too.
//
// A Sealer holds a list of keys, each derived from one secret of
// BUSBAR_SECRET_KEY. The first seals, all of them open; a sealed value names
// its key, so that the right one is found and a missing one is reported as
// such. Replicas with the same secrets derive the same keys.
//
// To rotate without a gap: add the new secret at the end of the list on every
// replica, then move it to the front (tokens are sealed anew at start), then,
// when the callbacks that the old one sealed have expired and the broadcasts have
// ended, drop it.
//
// The package stores nothing, and stretches nothing: a secret is expected to be
// random, not a passphrase that someone remembers.
package seal
