The milter core: sendmail and Postfix hand mail over the milter protocol, and it is judged, marked and explained by connection class, HELO, own-domain forgery and SPF.
