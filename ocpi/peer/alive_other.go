//go:build !unix

package peer

import "net"

// alive cannot look where there is no MSG_PEEK.
func alive(net.Conn) bool { return true }
