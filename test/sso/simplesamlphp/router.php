<?php
// SPDX-License-Identifier: Apache-2.0
//
// Serves /TENANT/simplesaml/… as a web server does that is set up for SimpleSAMLphp.
$root = getenv('SSP_ROOT') . '/www';
if (!preg_match('#^/([a-z0-9-]+)/simplesaml(/.*)$#', parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH), $at)) {
    http_response_code(404);
    return true;
}
[, $_SERVER['SSP_TENANT'], $path] = $at;
// The server logs no request that a router has answered.
file_put_contents('php://stderr', "{$_SERVER['REQUEST_METHOD']} {$at[0]}\n");
if (preg_match('#^(.*?\.php)(/.*)?$#', $path, $m) && is_file($root . $m[1])) {
    $_SERVER['SCRIPT_NAME'] = $_SERVER['PHP_SELF'] = "/{$at[1]}/simplesaml" . $m[1];
    $_SERVER['SCRIPT_FILENAME'] = $root . $m[1];
    $_SERVER['PATH_INFO'] = $m[2] ?? '';
    chdir(dirname($root . $m[1]));
    require $root . $m[1];
    return true;
}
if (preg_match('#^/(?:assets|resources)/[\w./-]+\.(js|css)$#', $path, $m) && is_file($root . $path)) {
    header('Content-Type: text/' . ['js' => 'javascript', 'css' => 'css'][$m[1]]);
    readfile($root . $path);
    return true;
}
http_response_code(404);
