//go:build linux

package main

import (
	"fmt"
	"strings"

	"busbar/ocpi"
)

// nginxSettings are what differs between two nginx.
type nginxSettings struct {
	Dir, Addr, Backend string
	// Root: workers of a master that runs as root need a user named.
	Root bool
}

// nginxConf makes nginx do a hub's work as far as maps can.
func nginxConf(s nginxSettings, f field) string {
	return nginxHTTP(s, nginxMaps(f, s.Backend), `		location /ocpi/2.2.1/ {
			if ($caller = "") { return 401; }
			if ($receiver = "") { return 404; }
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header X-Request-ID $request_id;
			proxy_set_header Authorization $outbound;
			proxy_pass http://$receiver/$receiver$request_uri;
		}
`)
}

// nginxFileConf makes nginx serve the files in root, by sendfile as Debian
// ships it.
func nginxFileConf(s nginxSettings, root string) string {
	return nginxHTTP(s, `	sendfile on;
	tcp_nopush on;
	types { application/json json; }
`, "\t\troot "+root+";\n")
}

// nginxHTTP is what all have in common. The keep-alive numbers only keep
// connections from being closed within a run, which the load generator would
// take for an error; the rest is as nginx comes.
func nginxHTTP(s nginxSettings, before, server string) string {
	user := ""
	if s.Root {
		user = "user root;\n"
	}
	return user + fmt.Sprintf(`daemon off;
worker_processes 2;
worker_rlimit_nofile 16384;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log;
events { worker_connections 8192; }
http {
	access_log off;
	keepalive_timeout 1h;
	keepalive_requests 1000000000;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	map_hash_max_size 65536;
	map_hash_bucket_size 128;
%[2]s	server {
		# Without reuseport one worker may accept all connections.
		listen %[3]s reuseport;
%[4]s	}
}
`, s.Dir, before, s.Addr, server)
}

// nginxMaps are the maps and one upstream for each platform.
func nginxMaps(f field, backend string) string {
	var callers, receivers, outbound, upstreams strings.Builder
	for _, p := range f {
		fmt.Fprintf(&callers, "\t\t%q %s;\n", p.Inbound.Authorization(ocpi.TokenBase64), p.Name)
		for _, party := range p.Parties {
			fmt.Fprintf(&receivers, "\t\t%s %s;\n", party, p.Name)
		}
		fmt.Fprintf(&outbound, "\t\t%s %q;\n", p.Name, p.Outbound.Authorization(ocpi.TokenBase64))
		fmt.Fprintf(&upstreams, "\tupstream %s { server %s; keepalive 64; keepalive_requests 1000000000; keepalive_timeout 1h; }\n", p.Name, backend)
	}
	return "\tmap $http_authorization $caller {\n\t\tdefault \"\";\n" + callers.String() + "\t}\n" +
		"\tmap $http_ocpi_to_country_code$http_ocpi_to_party_id $receiver {\n\t\tdefault \"\";\n" + receivers.String() + "\t}\n" +
		"\tmap $receiver $outbound {\n" + outbound.String() + "\t}\n" +
		upstreams.String()
}
