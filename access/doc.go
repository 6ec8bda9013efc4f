// Package access is who may operate the hub, and what they did.
//
// A Keyring tells who presents a token: root, whose token is a setting, or one
// of the tokens that the record has, each with a Role. It makes, renews and ends
// them. A Trail takes note of every change: that it is attempted before anything
// is changed, and how it ended before the answer is given.
//
// The package knows neither HTTP nor what is changed: package web asks it on
// every call of the admin API, and whoever else lets people in, such as a console
// with sessions, makes an Actor of them. Platforms authenticate elsewhere: their
// credentials tokens are package parties', and package gateway notes on the trail
// what they change themselves.
package access
